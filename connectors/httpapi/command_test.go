package httpapi_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/httpapi"
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/operators/allocation"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/state"
)

const order = `{"order":"W-1","channel":"own_online","location":"web","currency":"CNY",
	"customer":[{"type":"phone","value":"+86 138 0013 8000"}],
	"lines":[{"line":1,"sku":"glasses-7","quantity":2,"unit_price":"899.00"}]}`

// shop answers every order with decision d-1.
func shop(reply connectors.Reply) *fake {
	return &fake{
		submit: func(operators.Event, bool) (connectors.Reply, error) { return reply, nil },
		find:   func(string) (string, string, error) { return "allocation", "W-1", nil },
		ask: func(_, query, _ string, q state.Visitable, _ connectors.Consistency) (state.Visitable, uint64, error) {
			if query == "decision" {
				return &allocation.DecisionState{Order: "W-1", Decision: allocation.DecisionRow{ID: q.(*allocation.DecisionQuestion).ID}}, 9, nil
			}
			return &allocation.OrderState{Order: "W-1", Currency: "CNY", Origin: event.Origin{Channel: "own_online", Location: "web"},
				Lines:     []allocation.Line{{Line: 1, SKU: "glasses-7", Quantity: 2, UnitPrice: 899 * state.One}},
				Decisions: []allocation.DecisionRow{{ID: "d-1"}, {ID: "d-2"}}}, 9, nil
		},
	}
}

func TestPlaceOrder(t *testing.T) {
	f := shop(connectors.Reply{Outcome: core.OutcomeAnswer, Decision: "d-1", Index: 8})
	h := newHandler(t, f, nil)
	w := call(t, h, "POST", "/v1/orders", order, "Idempotency-Key", "k-1")
	if w.Code != 200 || w.Header().Get("Anabranch-Index") != "9" || !strings.Contains(w.Body.String(), `"id":"d-1"`) {
		t.Fatalf("answer = %d %v: %s", w.Code, w.Header(), w.Body)
	}
	e := f.submitted[0]
	p := e.Payload.Value.(*event.OrderPlaced)
	if e.ID != "k-1" || e.Source != httpapi.APISource || e.Type != "order.placed" || e.Time == 0 || p.Order != "W-1" {
		t.Errorf("submitted = %+v, %+v", e, p)
	}
	if len(p.Customer) != 1 || strings.Contains(p.Customer[0].Value, "138") {
		t.Errorf("customer = %+v; want a pseudonym", p.Customer)
	}
	again := call(t, h, "POST", "/v1/orders", order, "Idempotency-Key", "k-1")
	if again.Code != 200 || again.Body.String() != w.Body.String() {
		t.Errorf("again = %d: %s; want the same answer", again.Code, again.Body)
	}
	// The cluster remembers the key, not the node: neither another node nor
	// another time or spelling changes what it stands for.
	node := newHandler(t, f, nil)
	for body, status := range map[string]int{
		strings.Replace(order, `"quantity":2`, `"quantity":3`, 1):                        422,
		strings.Replace(order, `"order":"W-1"`, `"order":"W-2"`, 1):                      422,
		strings.Replace(order, `"order":`, `"time":"2026-11-01T10:00:00Z", "order":`, 1): 200,
	} {
		other := call(t, node, "POST", "/v1/orders", body, "Idempotency-Key", "k-1")
		if status == 422 {
			wantProblem(t, other.Code, other.Header(), other.Body.Bytes(), 422, "idempotency_key_reused")
		} else if other.Code != status {
			t.Errorf("%s = %d: %s; want %d", body, other.Code, other.Body, status)
		}
	}
}

// A node that has never seen the key still recognises the order.
func TestPlaceOrderAgain(t *testing.T) {
	tests := []struct {
		name, body string
		reply      connectors.Reply
		status     int
		want       string
	}{
		{"same order, stored answer", order, connectors.Reply{Outcome: core.OutcomeDuplicate, Decision: "d-2"}, 200, `"id":"d-2"`},
		{"same order under another key", order, connectors.Reply{Outcome: core.OutcomeDuplicate}, 200, `"id":"d-1"`},
		{"other quantity", strings.Replace(order, `"quantity":2`, `"quantity":3`, 1), connectors.Reply{Outcome: core.OutcomeDuplicate, Decision: "d-1"}, 409, "order_exists"},
		{"other channel", strings.Replace(order, "own_online", "marketplace", 1), connectors.Reply{Outcome: core.OutcomeDuplicate}, 409, "order_exists"},
		{"dead letter", order, connectors.Reply{Outcome: core.OutcomeDeadLetter, Code: "location_unknown", DeadLetter: "x-1"}, 422, `"dead_letter":"x-1"`},
		{"refused", order, connectors.Reply{Outcome: core.OutcomeRefused, Code: "halted"}, 422, `"code":"halted"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := call(t, newHandler(t, shop(tt.reply), nil), "POST", "/v1/orders", tt.body, "Idempotency-Key", "k-1")
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("answer = %d: %s; want %d with %s", w.Code, w.Body, tt.status, tt.want)
			}
		})
	}
}

// An order that is placed, and can't be shown, is not said to be undone.
func TestOrderCannotBeShown(t *testing.T) {
	for _, cause := range []error{connectors.ErrUnavailable, connectors.ErrOverloaded, context.DeadlineExceeded} {
		for _, outcome := range []string{core.OutcomeApplied, core.OutcomeDuplicate} {
			f := shop(connectors.Reply{Outcome: outcome, Decision: "d-1"})
			f.ask = func(string, string, string, state.Visitable, connectors.Consistency) (state.Visitable, uint64, error) {
				return nil, 0, cause
			}
			w := call(t, newHandler(t, f, nil), "POST", "/v1/orders", order, "Idempotency-Key", "k-1")
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 504, "outcome_unknown")
		}
	}
}

// An order that comes twice at once is answered when it is decided, both times.
func TestOrderBeingDecided(t *testing.T) {
	f := shop(connectors.Reply{Outcome: core.OutcomeDuplicate})
	decided, asked := f.ask, 0
	f.ask = func(stage, query, key string, q state.Visitable, c connectors.Consistency) (state.Visitable, uint64, error) {
		answer, index, err := decided(stage, query, key, q, c)
		if o, ok := answer.(*allocation.OrderState); ok {
			if asked++; asked < 3 {
				o.Decisions = nil
			}
		}
		return answer, index, err
	}
	w := call(t, newHandler(t, f, nil), "POST", "/v1/orders", order, "Idempotency-Key", "k-1")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"id":"d-1"`) || asked != 3 {
		t.Errorf("answer after %d questions = %d: %s; want decision d-1 after 3", asked, w.Code, w.Body)
	}
}

func TestBadCommands(t *testing.T) {
	tests := []struct {
		name, path, body, key string
		status                int
		code                  string
	}{
		{"no key", "/v1/orders", order, "", 400, "idempotency_key_missing"},
		{"long key", "/v1/orders", order, strings.Repeat("k", 256), 422, "bad_parameter"},
		{"not JSON", "/v1/orders", `{"order":`, "k", 422, "malformed_json"},
		{"no body", "/v1/orders", ``, "k", 400, "bad_request"},
		{"other type", "/v1/orders", `{"type":"order.shipped","order":"W-1"}`, "k", 422, "wrong_type"},
		{"no lines", "/v1/orders", `{"order":"W-1","channel":"own_online","currency":"CNY"}`, "k", 422, "lines_missing"},
		{"event without id", "/v1/events", `{"type":"order.shipped","order":"W-1"}`, "", 422, "id_missing"},
		{"event of unknown type", "/v1/events", `{"id":"1","type":"order.eaten"}`, "", 422, "unknown_type"},
		{"too large", "/v1/events", `{"id":"` + strings.Repeat("x", 2000) + `"}`, "", 413, "too_large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := shop(connectors.Reply{})
			h := newHandler(t, f, func(c *httpapi.Config) { c.MaxBodyBytes = 1500 })
			var headers []string
			if tt.key != "" {
				headers = []string{"Idempotency-Key", tt.key}
			}
			w := call(t, h, "POST", tt.path, tt.body, headers...)
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code)
			if len(f.submitted) > 0 {
				t.Errorf("submitted %+v; want nothing to reach the cluster", f.submitted)
			}
		})
	}
}

// A key whose order was refused may come again with a mended order.
func TestMendedOrder(t *testing.T) {
	f := shop(connectors.Reply{Outcome: core.OutcomeDeadLetter, Code: "location_unknown"})
	h := newHandler(t, f, nil)
	for _, body := range []string{`{"order":`, order} {
		if w := call(t, h, "POST", "/v1/orders", body, "Idempotency-Key", "k-1"); w.Code != 422 {
			t.Fatalf("answer = %d: %s", w.Code, w.Body)
		}
	}
	f.submit = func(operators.Event, bool) (connectors.Reply, error) {
		return connectors.Reply{Outcome: core.OutcomeAnswer, Decision: "d-1"}, nil
	}
	if w := call(t, h, "POST", "/v1/orders", strings.Replace(order, "web", "app", 1), "Idempotency-Key", "k-1"); w.Code != 200 {
		t.Errorf("mended order = %d: %s", w.Code, w.Body)
	}
}

// A command whose time ran out may have been applied: it is never called failed.
func TestOutcomeUnknown(t *testing.T) {
	for _, path := range []string{"/v1/orders", "/v1/events"} {
		f := &fake{submit: func(operators.Event, bool) (connectors.Reply, error) {
			return connectors.Reply{}, context.DeadlineExceeded
		}}
		body := strings.Replace(order, `{`, `{"id":"e-1","type":"order.placed",`, 1)
		w := call(t, newHandler(t, f, nil), "POST", path, body, "Idempotency-Key", "k-1")
		wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 504, "outcome_unknown")
	}
}

func TestSubmitEvent(t *testing.T) {
	f := shop(connectors.Reply{Outcome: core.OutcomeDeadLetter, Code: "late", DeadLetter: "x-7", Index: 5})
	w := call(t, newHandler(t, f, nil), "POST", "/v1/events",
		`{"id":"k-1","source":"wms","type":"stock.counted","time":"2026-01-01T00:00:00Z","sku":"g","location":"s","quantity":3}`)
	var got struct {
		Outcome, Code string
		DeadLetter    string `json:"dead_letter"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("answer = %d: %s", w.Code, w.Body)
	}
	if got.Outcome != "dead_letter" || got.Code != "late" || got.DeadLetter != "x-7" || w.Header().Get("Anabranch-Index") != "5" {
		t.Errorf("answer = %+v, index %s", got, w.Header().Get("Anabranch-Index"))
	}
	if e := f.submitted[0]; e.Source != "wms" || e.ID != "k-1" {
		t.Errorf("submitted = %+v; want the body's own id and source", e)
	}
}

func TestPublishPolicy(t *testing.T) {
	f := &fake{
		submit: func(e operators.Event, answer bool) (connectors.Reply, error) {
			return connectors.Reply{Outcome: core.OutcomeApplied}, nil
		},
		ask: func(stage, _, key string, _ state.Visitable, _ connectors.Consistency) (state.Visitable, uint64, error) {
			if stage != "policy" || key != "allocation" {
				t.Errorf("asked %s for %q", stage, key)
			}
			return &policy.Answer{Current: event.Policy{Name: key, Version: 4}}, 30, nil
		},
	}
	body := `{"name":"allocation","author":"li","allocation":{"order_timeout_us":30000000,"reservation_ttl_us":86400000000,"returns_to":"on_hand"}}`
	w := call(t, newHandler(t, f, nil), "POST", "/v1/policies", body)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"version":4`) {
		t.Fatalf("answer = %d: %s", w.Code, w.Body)
	}
	if e := f.submitted[0]; e.Type != "policy.published" || e.ID == "" {
		t.Errorf("submitted = %+v", e)
	}
}
