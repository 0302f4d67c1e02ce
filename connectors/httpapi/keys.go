package httpapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

const typeRequest = "request.made"

// claimOf is what a key and a command's content, without the time it came at,
// are remembered by. It holds digests alone: a key may be anything, and of
// identifiers only pseudonyms are digested.
func claimOf(key string, e *operators.Event) (*event.RequestMade, error) {
	content, err := wire.MarshalJSON(e.Payload.Value)
	if err != nil {
		return nil, err
	}
	return &event.RequestMade{Key: digest([]byte(key)), Content: digest(content)}, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// claim has the cluster remember a key. It refuses one that stands for another
// content, whatever node that came to. A topology without such a memory knows a
// repeat by the key as the event's id alone.
func (a *api) claim(ctx context.Context, c *event.RequestMade) error {
	if a.cfg.Plan.Input(typeRequest) == nil {
		return nil
	}
	reply, err := a.submitRequest(ctx, c, true)
	switch {
	case err != nil:
		return problemOfCommand("remember the Idempotency-Key", err)
	case reply.Decision == "":
		return refusal(reply)
	case reply.Decision != c.Content:
		return problem(http.StatusUnprocessableEntity, codeKeyReused, "this Idempotency-Key was used with another body")
	}
	return nil
}

// withdraw lets a key be used for anything again.
func (a *api) withdraw(ctx context.Context, c *event.RequestMade) error {
	if a.cfg.Plan.Input(typeRequest) == nil {
		return nil
	}
	withdrawn := *c
	withdrawn.Withdrawn = true
	if _, err := a.submitRequest(ctx, &withdrawn, false); err != nil {
		return problemOfCommand("forget the Idempotency-Key", err)
	}
	return nil
}

func (a *api) submitRequest(ctx context.Context, c *event.RequestMade, answer bool) (connectors.Reply, error) {
	return a.cfg.Cluster.Submit(ctx, operators.Event{Type: typeRequest, Source: APISource, ID: rand.Text(),
		Time: state.TimeOf(time.Now()), Payload: state.Nested{Value: c}}, answer)
}
