package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
)

// APISource is the source of events that name none.
const APISource = "api"

const maxKeyBytes = 255

// Outcomes of a reply; engine/core owns the words.
const (
	outcomeApplied   = "applied"
	outcomeDuplicate = "duplicate"
)

type orderBody struct {
	Key     string `header:"Idempotency-Key" maxLength:"255" doc:"makes asking again safe: the same key answers the same"`
	RawBody []byte `contentType:"application/json"`
}

type eventBody struct {
	RawBody []byte `contentType:"application/json"`
}

func (a *api) registerCommands() {
	command(a, "/v1/orders", "place-order", "Place an order and get its decision",
		a.schemas.event(a.cfg.Plan, "order.placed"),
		a.schemas.answer(a.cfg.Plan, "allocation", "decision", "Decision"), a.placeOrder)
	command(a, "/v1/events", "submit-event", "Bring any event in, idempotent by (source, id)",
		a.schemas.anyEvent(a.cfg.Plan), nil, a.submitEvent)
	command(a, "/v1/policies", "publish-policy", "Publish the next version of a policy",
		a.schemas.event(a.cfg.Plan, "policy.published"),
		a.schemas.answer(a.cfg.Plan, "policy", "policy", "Policy"), a.publishPolicy)
}

// command registers a POST operation with a raw body.
func command[I, O any](a *api, path, id, summary string, request, response *huma.Schema, fn func(context.Context, *I) (*O, error)) {
	huma.Register(a.huma, huma.Operation{Method: http.MethodPost, Path: path, OperationID: id, Summary: summary,
		MaxBodyBytes: a.cfg.MaxBodyBytes + 1, BodyReadTimeout: a.cfg.Timeout, SkipValidateBody: true}, fn)
	a.schemas.document(path, a.huma.OpenAPI().Paths[path].Post, request, response)
}

// placeOrder answers with the decision, once it is replicated. An order that
// was placed before with the same content, under whatever key, gets the same
// decision again.
func (a *api) placeOrder(ctx context.Context, in *orderBody) (*raw, error) {
	if in.Key == "" || len(in.Key) > maxKeyBytes {
		return nil, problem(http.StatusBadRequest, codeKeyMissing,
			"the header Idempotency-Key must have 1 to "+strconv.Itoa(maxKeyBytes)+" bytes, so that asking again is safe")
	}
	e, err := a.decode(in.RawBody, envelopeDefaults{id: in.Key, eventType: "order.placed"})
	if err != nil {
		return nil, err
	}
	if e.Type != "order.placed" {
		return nil, problem(http.StatusUnprocessableEntity, codeWrongType,
			"the body's type is "+e.Type+"; orders are order.placed, anything else goes to /v1/events")
	}
	c, err := claimOf(in.Key, &e)
	if err != nil {
		return nil, problemOf("order", err)
	}
	if err := a.claim(ctx, c); err != nil {
		return nil, err
	}
	e.ID = in.Key
	reply, err := a.cfg.Cluster.Submit(ctx, e, true)
	if err != nil {
		return nil, problemOfCommand("place order", err)
	}
	switch {
	case reply.Outcome == outcomeDuplicate:
		answer, err := a.placedBefore(ctx, &e, reply.Decision)
		return applied("order", answer, err)
	case reply.Decision != "":
		answer, err := a.decision(ctx, reply.Decision, string(connectors.Linearizable))
		return applied("order", answer, err)
	}
	if err := a.withdraw(ctx, c); err != nil { // nothing came of it: a mended body may use the key
		return nil, err
	}
	return nil, refusal(reply)
}

// refusal is the problem for an event that was not applied.
func refusal(r connectors.Reply) *Problem {
	p := problem(http.StatusUnprocessableEntity, r.Code, "the event could not be applied: "+r.Outcome+" "+r.Code)
	if r.Code == "" {
		p.Code = r.Outcome
	}
	p.DeadLetter = r.DeadLetter
	return p
}

func (a *api) submitEvent(ctx context.Context, in *eventBody) (*outcomeAnswer, error) {
	e, err := a.decode(in.RawBody, envelopeDefaults{})
	if err != nil {
		return nil, err
	}
	reply, err := a.cfg.Cluster.Submit(ctx, e, false)
	if err != nil {
		return nil, problemOfCommand("event "+e.ID, err)
	}
	return outcomeOf(reply), nil
}

// publishPolicy answers with the version that is then in force. Without an id
// of its own each body is a new proposal, also one that was made before.
func (a *api) publishPolicy(ctx context.Context, in *eventBody) (*raw, error) {
	defaults := envelopeDefaults{id: rand.Text(), eventType: "policy.published"}
	e, err := a.decode(in.RawBody, defaults)
	if err != nil {
		return nil, err
	}
	if e.Type != defaults.eventType {
		return nil, problem(http.StatusUnprocessableEntity, codeWrongType, "the body's type is "+e.Type+", want "+defaults.eventType)
	}
	reply, err := a.cfg.Cluster.Submit(ctx, e, false)
	if err != nil {
		return nil, problemOfCommand("publish policy", err)
	}
	if reply.Outcome != outcomeApplied && reply.Outcome != outcomeDuplicate {
		return nil, refusal(reply)
	}
	key := ""
	if input := a.cfg.Plan.Input(e.Type); input != nil && e.Payload.Value != nil {
		key = input.Key(e.Payload.Value)
	}
	answer, err := a.ask(ctx, "policy", "policy", key, nil, string(connectors.Linearizable))
	return applied("policy", answer, err)
}

// applied is the answer to a command that has its effect already. What keeps the
// answer from being shown is no reason to say that nothing was done.
func applied(what string, answer *raw, err error) (*raw, error) {
	var p *Problem
	if errors.As(err, &p) && (p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests || p.Status == http.StatusGatewayTimeout) {
		return nil, problem(http.StatusGatewayTimeout, codeUnknown, what+" is taken, but what came of it can't be shown now: "+p.Detail)
	}
	return answer, err
}

// envelopeDefaults fill in what a body may leave out.
type envelopeDefaults struct{ id, eventType string }

// decode turns a body into its one event, with the wire decoder's own limits.
// What can't be decoded is refused here with the reason's code: it has no
// position in a topic from which it could be read again.
func (a *api) decode(body []byte, defaults envelopeDefaults) (operators.Event, error) {
	// CloudEvents headers are how the decoder takes envelope fields from
	// outside the body.
	record := connectors.RawRecord{Value: body, Headers: []connectors.Header{
		{Key: "ce_source", Value: []byte(APISource)},
		{Key: "ce_time", Value: time.Now().UTC().AppendFormat(nil, time.RFC3339Nano)},
	}}
	if defaults.id != "" {
		record.Headers = append(record.Headers, connectors.Header{Key: "ce_id", Value: []byte(defaults.id)})
	}
	if defaults.eventType != "" {
		record.Headers = append(record.Headers, connectors.Header{Key: "ce_type", Value: []byte(defaults.eventType)})
	}
	var events []operators.Event
	a.cfg.Decoder.Decode(a.topicOf(body, defaults.eventType), &record, func(e operators.Event) { events = append(events, e) })
	if len(events) != 1 {
		return operators.Event{}, problem(http.StatusUnprocessableEntity, codeManyEvents,
			"the body holds "+strconv.Itoa(len(events))+" events, want 1")
	}
	if r := events[0].Reject; r != nil {
		detail := "the body can't be read as an event: " + r.Code
		for _, f := range r.Fields {
			detail += ", " + f.Name + " " + strconv.Quote(f.Value)
		}
		return operators.Event{}, problem(http.StatusUnprocessableEntity, r.Code, detail)
	}
	return events[0], nil
}

// topicOf is the topic on which an event of the body's type would come.
func (a *api) topicOf(body []byte, eventType string) string {
	var peek struct {
		Type string `json:"type"`
	}
	// A body that is no JSON object is the decoder's to refuse.
	if err := json.Unmarshal(body, &peek); err == nil && peek.Type != "" {
		eventType = peek.Type
	}
	if in := a.cfg.Plan.Input(eventType); in != nil {
		return in.Topic
	}
	return ""
}
