package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/contract"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

type deadLettersInput struct {
	Code  string `query:"code" doc:"only this reason"`
	Type  string `query:"type" doc:"only this event type"`
	After string `query:"after" doc:"go on after this id"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type deadLetterInput struct {
	ID string `path:"id"`
}

// outcomeBody is the JSON form of a Reply.
type outcomeBody struct {
	Outcome    string `json:"outcome" enum:"applied,duplicate,dead_letter,answer,refused"`
	Code       string `json:"code,omitempty" doc:"why it was dead-lettered or refused"`
	DeadLetter string `json:"dead_letter,omitempty" doc:"id of the dead letter"`
	Decision   string `json:"decision,omitempty" doc:"id of the decision"`
}

type outcomeAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  outcomeBody
}

func outcomeOf(r connectors.Reply) *outcomeAnswer {
	return &outcomeAnswer{Index: r.Index, Body: outcomeBody{
		Outcome: r.Outcome, Code: r.Code, DeadLetter: r.DeadLetter, Decision: r.Decision}}
}

func (a *api) registerDeadLetters() {
	ref := a.schemas.named("DeadLetter", contract.DeadLetter())
	get(a, "/v1/dead-letters", "list-dead-letters", "What could not be applied, oldest first",
		&huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{
			"dead_letters": {Type: huma.TypeArray, Items: ref}}, Required: []string{"dead_letters"}}, a.deadLetters)
	get(a, "/v1/dead-letters/{id}", "get-dead-letter", "One dead letter", ref, a.deadLetter)

	const path = "/v1/dead-letters/{id}/redrive"
	huma.Register(a.huma, huma.Operation{Method: http.MethodPost, Path: path, OperationID: "redrive-dead-letter",
		Summary: "Try a dead letter again, after its cause is mended"},
		func(ctx context.Context, in *deadLetterInput) (*outcomeAnswer, error) {
			reply, err := a.cfg.Cluster.Redrive(ctx, in.ID)
			if err != nil {
				return nil, problemOfCommand("redrive "+in.ID, err)
			}
			return outcomeOf(reply), nil
		})
	a.schemas.document(path, a.huma.OpenAPI().Paths[path].Post, nil, nil)
}

func (a *api) deadLetters(ctx context.Context, in *deadLettersInput) (*raw, error) {
	index, err := a.applied(ctx)
	if err != nil {
		return nil, problemOf("dead letters", err)
	}
	list, err := a.cfg.Cluster.DeadLetters(ctx, connectors.DeadLetterFilter{
		Code: in.Code, Type: in.Type, After: in.After, Limit: in.Limit})
	if err != nil {
		return nil, problemOf("dead letters", err)
	}
	body := struct {
		DeadLetters []json.RawMessage `json:"dead_letters"`
	}{DeadLetters: make([]json.RawMessage, len(list))}
	for i := range list {
		if body.DeadLetters[i], err = a.letterJSON(&list[i]); err != nil {
			return nil, problemOf("dead letter "+list[i].ID, err)
		}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, problemOf("dead letters", err)
	}
	return rawJSON(index, b), nil
}

func (a *api) deadLetter(ctx context.Context, in *deadLetterInput) (*raw, error) {
	index, err := a.applied(ctx)
	if err != nil {
		return nil, problemOf("dead letter "+in.ID, err)
	}
	letter, err := a.cfg.Cluster.DeadLetter(ctx, in.ID)
	if err != nil {
		return nil, problemOf("dead letter "+in.ID, err)
	}
	b, err := a.letterJSON(&letter)
	if err != nil {
		return nil, problemOf("dead letter "+in.ID, err)
	}
	return rawJSON(index, b), nil
}

func (a *api) letterJSON(d *operators.DeadLetter) ([]byte, error) {
	return wire.MarshalJSON(shownLetter{d})
}

// shownLetter leaves out what only the cluster can make sense of.
type shownLetter struct{ *operators.DeadLetter }

// Visit lists the fields that are shown.
func (l shownLetter) Visit(v state.Visitor) {
	d := *l.DeadLetter
	v.String("id", &d.ID)
	v.String("code", &d.Code)
	v.String("stage", &d.Stage)
	v.String("type", &d.Type)
	v.String("key", &d.Key)
	v.Time("log_time", &d.LogTime)
	state.VisitStruct(v, "cause", &d.Cause)
	v.String("topic_id", &d.TopicID)
	v.Bytes("hash", &d.Hash)
	v.Bool("external", &d.External)
	state.VisitStructs(v, "fields", &d.Fields)
	if d.Payload.Value != nil {
		v.Nested("payload", d.Payload.Value, &d.Payload.Raw)
	}
}
