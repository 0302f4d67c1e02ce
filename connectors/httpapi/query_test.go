package httpapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/httpapi"
	"anabranch.dev/operators/allocation"
	"anabranch.dev/operators/inventory"
	"anabranch.dev/state"
)

func TestStock(t *testing.T) {
	f := &fake{ask: func(stage, query, key string, q state.Visitable, c connectors.Consistency) (state.Visitable, uint64, error) {
		if stage != "inventory" || query != "stock" || key != "glasses/7" || c != connectors.Stale {
			t.Errorf("asked %s?%s of %q, %s", stage, query, key, c)
		}
		near := q.(*inventory.StockQuestion).Near
		if near == nil || near.Lat != 39_930_000 || near.Lon != -116_450_000 {
			t.Errorf("near = %+v; want 39.93,-116.45", near)
		}
		return &inventory.StockAnswer{SKU: key, Places: []inventory.StockPlace{{Location: "sanlitun", OnHand: 3, ATP: 2}}}, 41, nil
	}}
	w := call(t, newHandler(t, f, nil), "GET", "/v1/stock/glasses%2F7?near=39.93,-116.45&consistency=stale", "")
	if w.Code != http.StatusOK || w.Header().Get("Anabranch-Index") != "41" || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("answer = %d, headers %v: %s", w.Code, w.Header(), w.Body)
	}
	var a struct {
		SKU    string
		Places []struct {
			Location string
			OnHand   int `json:"on_hand"`
			ATP      int
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	if len(a.Places) != 1 || a.Places[0].Location != "sanlitun" || a.Places[0].OnHand != 3 || a.Places[0].ATP != 2 {
		t.Errorf("places = %+v", a.Places)
	}
}

func TestStockWithoutPosition(t *testing.T) {
	f := &fake{ask: func(_, _, _ string, q state.Visitable, c connectors.Consistency) (state.Visitable, uint64, error) {
		if q.(*inventory.StockQuestion).Near != nil || c != connectors.Linearizable {
			t.Errorf("question = %+v, %s; want no position, linearizable", q, c)
		}
		return &inventory.StockAnswer{}, 1, nil
	}}
	if w := call(t, newHandler(t, f, nil), "GET", "/v1/stock/x", ""); w.Code != http.StatusOK {
		t.Errorf("answer = %d: %s", w.Code, w.Body)
	}
}

func TestDecision(t *testing.T) {
	f := &fake{
		find: func(id string) (string, string, error) { return "allocation", "536365", nil },
		ask: func(stage, query, key string, q state.Visitable, _ connectors.Consistency) (state.Visitable, uint64, error) {
			if stage != "allocation" || query != "decision" || key != "536365" || q.(*allocation.DecisionQuestion).ID != "d-1" {
				t.Errorf("asked %s?%s of %q: %+v", stage, query, key, q)
			}
			return &allocation.DecisionState{Order: key, Decision: allocation.DecisionRow{ID: "d-1"}}, 7, nil
		},
	}
	w := call(t, newHandler(t, f, nil), "GET", "/v1/decisions/d-1", "")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"order":"536365"`) {
		t.Errorf("answer = %d: %s", w.Code, w.Body)
	}
}

// Every failure is a problem document with a stable code.
func TestProblems(t *testing.T) {
	tests := []struct {
		name, method, path string
		err                error
		status             int
		code               string
	}{
		{"nothing there", "GET", "/v1/orders/1", connectors.ErrNotFound, 404, "not_found"},
		{"no leader", "GET", "/v1/orders/1", fmt.Errorf("group 0: %w", connectors.ErrUnavailable), 503, "unavailable"},
		{"overload", "GET", "/v1/orders/1", connectors.ErrOverloaded, 429, "overloaded"},
		{"outcome unknown", "GET", "/v1/orders/1", connectors.ErrUnknown, 504, "outcome_unknown"},
		{"broken", "GET", "/v1/orders/1", errors.New("disk on fire"), 500, "internal"},
		{"position", "GET", "/v1/stock/x?near=north", nil, 400, "bad_parameter"},
		{"position out of range", "GET", "/v1/stock/x?near=91,0", nil, 400, "bad_parameter"},
		{"position not a number", "GET", "/v1/stock/x?near=NaN,0", nil, 400, "bad_parameter"},
		{"consistency", "GET", "/v1/stock/x?consistency=eventual", nil, 422, "bad_parameter"},
		{"path", "GET", "/v1/nothing", nil, 404, "unknown_path"},
		{"method", "DELETE", "/v1/stock/x", nil, 405, "method_not_allowed"},
		{"method of a command", "GET", "/v1/events", nil, 405, "method_not_allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{ask: func(string, string, string, state.Visitable, connectors.Consistency) (state.Visitable, uint64, error) {
				return nil, 0, tt.err
			}}
			w := call(t, newHandler(t, f, nil), tt.method, tt.path, "")
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code)
			if again := w.Header().Get("Retry-After"); (tt.status == 503 || tt.status == 429) != (again != "") {
				t.Errorf("Retry-After = %q at status %d", again, tt.status)
			}
		})
	}
}

func wantProblem(t *testing.T, status int, h http.Header, body []byte, wantStatus int, wantCode string) {
	t.Helper()
	var p httpapi.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("not a problem: %v: %s", err, body)
	}
	if status != wantStatus || p.Status != wantStatus || p.Code != wantCode || p.Detail == "" || p.Title == "" {
		t.Errorf("answer = %d %+v; want %d %s", status, p, wantStatus, wantCode)
	}
	if ct := h.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content type = %q", ct)
	}
}

// A question that takes too long ends with the request's deadline.
func TestTimeout(t *testing.T) {
	f := &blocking{}
	h := newHandler(t, &f.fake, func(c *httpapi.Config) { c.Cluster, c.Timeout = f, time.Millisecond })
	w := call(t, h, "GET", "/v1/orders/1", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 504, "timeout")
}

// The OpenAPI document describes answers by their real fields.
func TestOpenAPI(t *testing.T) {
	w := call(t, newHandler(t, &fake{}, nil), "GET", "/openapi.json", "")
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Type  any
					Items struct {
						Properties map[string]struct{ Type any }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("version = %q", doc.OpenAPI)
	}
	for _, path := range []string{"/v1/stock/{sku}", "/v1/orders/{order}", "/v1/decisions/{id}", "/v1/policies/{name}",
		"/v1/totals/{currency}", "/v1/dead-letters", "/v1/dead-letters/{id}", "/v1/cluster", "/v1/groups/{g}", "/v1/shards", "/v1/live", "/healthz", "/readyz"} {
		if doc.Paths[path]["get"] == nil {
			t.Errorf("GET %s is not described", path)
		}
	}
	for _, path := range []string{"/v1/orders", "/v1/events", "/v1/policies", "/v1/dead-letters/{id}/redrive", "/v1/cluster/skip"} {
		if doc.Paths[path]["post"] == nil {
			t.Errorf("POST %s is not described", path)
		}
	}
	stock := doc.Components.Schemas["Stock"]
	if stock.Properties["places"].Type != "array" || stock.Properties["places"].Items.Properties["on_hand"].Type != "integer" {
		t.Errorf("schema of stock = %+v", stock)
	}
	order := doc.Components.Schemas["order.placed"]
	for _, name := range []string{"id", "time", "order", "channel", "lines"} {
		if order.Properties[name].Type == nil {
			t.Errorf("schema of order.placed lacks %s", name)
		}
	}
}
