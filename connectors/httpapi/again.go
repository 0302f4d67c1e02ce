package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators"
)

// content is what makes two placements the same order.
type content struct {
	Currency string
	Origin   origin
	Lines    []contentLine
}

type origin struct{ Channel, Location, Staff string }

type contentLine struct {
	Line      int64  `json:"line"`
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	UnitPrice string `json:"unit_price"`
}

func (c *content) equal(o *content) bool {
	return c.Currency == o.Currency && c.Origin == o.Origin && slices.Equal(c.Lines, o.Lines)
}

// placedBefore answers an order that the cluster has seen before: with its
// decision if the content is the same, else with a conflict. Without a stored
// decision (the order came under another event id, or is being decided) it is
// the first kept one, as soon as there is one.
func (a *api) placedBefore(ctx context.Context, e *operators.Event, decision string) (*raw, error) {
	input := a.cfg.Plan.Input(e.Type)
	key := input.Key(e.Payload.Value)
	placed, err := contentOf(e)
	if err != nil {
		return nil, problemOf("order "+key, err)
	}
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		before, err := a.known(ctx, key)
		if err != nil {
			return nil, err
		}
		if !placed.equal(&before.content) {
			return nil, problem(http.StatusConflict, codeOrderExists,
				"order "+key+" was placed before with another content; see GET /v1/orders/"+key)
		}
		if decision == "" && len(before.Decisions) > 0 {
			decision = before.Decisions[0].ID
		}
		if decision != "" {
			return a.decision(ctx, decision, string(connectors.Linearizable))
		}
		select {
		case <-ctx.Done():
			return nil, problemOf("order "+key+" has no decision to show", connectors.ErrUnavailable)
		case <-again.C:
		}
	}
}

// knownOrder is an order as the cluster knows it.
type knownOrder struct {
	content
	Decisions []struct{ ID string }
}

func (a *api) known(ctx context.Context, key string) (order knownOrder, err error) {
	answer, err := a.ask(ctx, "allocation", "order", key, &fields{bools: map[string]bool{"explained": true}}, string(connectors.Linearizable))
	if err != nil {
		return order, err
	}
	if err := json.Unmarshal(answer.Body, &order); err != nil {
		return order, problemOf("order "+key, err)
	}
	return order, nil
}

// contentOf reads an order.placed event's content, lines in their order.
func contentOf(e *operators.Event) (*content, error) {
	b, err := wire.MarshalJSON(e.Payload.Value)
	if err != nil {
		return nil, err
	}
	var placed struct {
		Currency string
		origin
		Lines []contentLine
	}
	if err := json.Unmarshal(b, &placed); err != nil {
		return nil, err
	}
	slices.SortFunc(placed.Lines, func(x, y contentLine) int { return cmp.Compare(x.Line, y.Line) })
	return &content{Currency: placed.Currency, Origin: placed.origin, Lines: placed.Lines}, nil
}
