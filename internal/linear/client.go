package linear

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

const (
	eventsPath = "/v1/events"
	ordersPath = "/v1/orders"
)

// ask carries an operation out at a node. read gives the meaning of an answer
// with status 200, and reports whether it has one.
func (c *client) ask(ctx context.Context, node int, o Operation, r *Request, read func(o *Operation, a *Answer) bool) Operation {
	o.Client, o.Node = c.id, node
	begun := c.History.Begin(o)
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	a, err := c.API(ctx, node, r)
	c.History.End(begun, func(o *Operation) {
		if err != nil {
			return // nothing is known
		}
		o.Index, o.Life = a.Index, a.Life
		switch {
		case a.Status == http.StatusOK && read(o, a):
		case a.Status == http.StatusOK:
			c.strange(o, a)
		default:
			c.refused(o, a)
		}
	})
	return *begun
}

// refused says what an answer means that is none.
func (c *client) refused(o *Operation, a *Answer) {
	var problem struct{ Code string }
	if err := json.Unmarshal(a.Body, &problem); err != nil {
		c.strange(o, a)
	}
	switch {
	case o.Kind == Place && problem.Code == "idempotency_key_reused":
		o.Outcome = KeyReused
	case o.Kind == Read && a.Status == http.StatusNotFound && !o.Stale:
		o.Outcome, o.Stock = Done, Stock{-1, -1, -1} // it is there since the beginning
	case o.Kind == Read && a.Status == http.StatusNotFound:
		o.Outcome = NotDone // a replica that has not come so far
	case a.Status == http.StatusServiceUnavailable:
		o.Outcome = NotDone // that is what it says: else the outcome were unknown
	case a.Status != http.StatusGatewayTimeout:
		c.strange(o, a)
	}
}

// read asks for an SKU's stock.
func (c *client) read(ctx context.Context, node int, sku string, stale bool) Operation {
	path := "/v1/stock/" + c.Name + sku
	if stale {
		path += "?consistency=stale"
	}
	return c.ask(ctx, node, Operation{Kind: Read, SKU: sku, Stale: stale}, &Request{Method: http.MethodGet, Path: path}, func(o *Operation, a *Answer) bool {
		var stock struct {
			Places []struct {
				OnHand   int64 `json:"on_hand"`
				Reserved int64
				ATP      int64
			}
		}
		if err := json.Unmarshal(a.Body, &stock); err != nil || len(stock.Places) != 1 || a.Index == 0 {
			return false
		}
		o.Outcome, o.Stock = Done, Stock(stock.Places[0])
		return true
	})
}

// event submits one that is known by its id.
func (c *client) event(ctx context.Context, node int, o Operation, body string) Operation {
	return c.ask(ctx, node, o, &Request{Method: http.MethodPost, Path: eventsPath, Body: body}, func(o *Operation, a *Answer) bool {
		var reply struct{ Outcome string }
		if err := json.Unmarshal(a.Body, &reply); err != nil {
			return false
		}
		switch reply.Outcome {
		case "applied":
			o.Outcome = Done
		case "duplicate":
			o.Outcome = Again
		}
		return o.Outcome != Maybe
	})
}

func (c *client) receive(ctx context.Context, node int, o Operation) Operation {
	id := fmt.Sprintf("%s%s-received-%d", c.Name, o.SKU, o.Command)
	return c.event(ctx, node, o, fmt.Sprintf(`{"id":%q,"type":"stock.received","sku":%q,"location":"riverside","pool":"store","quantity":%d}`,
		id, c.Name+o.SKU, o.Quantity))
}

func (c *client) orderOf(o *Operation) string {
	return fmt.Sprintf("%s%s-%d", c.Name, o.SKU, o.Command)
}

func (c *client) cancel(ctx context.Context, node int, o Operation) Operation {
	return c.event(ctx, node, o, fmt.Sprintf(`{"id":"cancel-%[1]s","type":"order.cancelled","order":%[1]q,"currency":"CNY"}`, c.orderOf(&o)))
}

// place places an order under its key.
func (c *client) place(ctx context.Context, node int, o Operation) Operation {
	body := fmt.Sprintf(`{"order":%q,"channel":"own_online","location":"riverside","currency":"CNY","lines":[{"line":1,"sku":%q,"quantity":%d,"unit_price":"8.00"}]}`,
		c.orderOf(&o), c.Name+o.SKU, o.Quantity)
	return c.ask(ctx, node, o, &Request{Method: http.MethodPost, Path: ordersPath, Key: c.Name + "key-" + o.key(), Body: body}, func(o *Operation, a *Answer) bool {
		var order struct {
			Decision struct{ ID string }
			Lines    []struct{ Parts []struct{ Quantity int64 } }
		}
		if err := json.Unmarshal(a.Body, &order); err != nil || order.Decision.ID == "" || len(order.Lines) != 1 {
			return false
		}
		for _, p := range order.Lines[0].Parts {
			o.Granted += p.Quantity
		}
		o.Outcome, o.Decision = Done, order.Decision.ID
		return true
	})
}
