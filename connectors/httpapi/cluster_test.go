package httpapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/httpapi"
)

// three is a cluster of three, one of which does not answer.
func three() *fake {
	f := running()
	f.status.Groups[0].Leader, f.status.Groups[0].Replica = "n1", "n1.1"
	f.nodes = []connectors.NodeStatus{
		{Node: "n1", HTTP: "10.0.0.1:8470", Ready: true, Groups: f.status.Groups},
		{Node: "n2", ClockAhead: -1500 * time.Microsecond, NotReady: "group 0 catches up",
			Groups: []connectors.GroupStatus{{Role: "damaged", Damaged: "log record 7 is bad; it is replaced"}}},
		{Node: "n3", Unreachable: "connection refused"},
	}
	return f
}

func TestNodes(t *testing.T) {
	f := three()
	h := newHandler(t, f, nil)
	w := call(t, h, "GET", "/v1/cluster", "")
	for _, want := range []string{`"clock_ahead_us":-1500`, `"unreachable":"connection refused"`, `"replica":"n1.1"`,
		`"damaged":"log record 7 is bad; it is replaced"`, `"not_ready":"group 0 catches up"`} {
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("GET /v1/cluster = %d: %s; want it to hold %s", w.Code, w.Body, want)
		}
	}
	f.nodesErr, f.nodes = errors.New("not formed"), nil
	if w := call(t, h, "GET", "/v1/cluster", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"nodes":[],"nodes_unknown":"not formed"`) {
		t.Errorf("GET /v1/cluster of a node that knows no other = %d: %s; want its own view", w.Code, w.Body)
	}
}

func TestInit(t *testing.T) {
	f := three()
	h := newHandler(t, f, nil)
	w := call(t, h, "POST", "/v1/cluster/init", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"formed":true`) || w.Header().Get("Anabranch-Index") != "20" {
		t.Errorf("init = %d, index %s: %s", w.Code, w.Header().Get("Anabranch-Index"), w.Body)
	}
	f.nodesErr = errors.New("n2 has 64 shards, not 256")
	w = call(t, h, "POST", "/v1/cluster/init", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 409, "refused")
	f.nodesErr = fmt.Errorf("n3: %w", connectors.ErrUnavailable)
	w = call(t, h, "POST", "/v1/cluster/init", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 503, "unavailable")
}

func TestTransfer(t *testing.T) {
	f := three()
	h := newHandler(t, f, nil)
	for body, want := range map[string]string{
		`{"group":0,"to":"n2"}`: `"leader":"n2"`,
		`{"group":0}`:           `"leader":"n3"`,
	} {
		f.status.Groups[0].Leader = "n1"
		w := call(t, h, "POST", "/v1/cluster/transfer", body)
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Body.String(), `"from":"n1"`) ||
			w.Header().Get("Anabranch-Index") != "30" {
			t.Errorf("transfer %s = %d: %s; want %s", body, w.Code, w.Body, want)
		}
	}
	w := call(t, h, "POST", "/v1/cluster/transfer", `{"group":7}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 404, "not_found")
	f.nodesErr = errors.New("n9 is no member")
	w = call(t, h, "POST", "/v1/cluster/transfer", `{"group":0,"to":"n9"}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 409, "refused")
}

func TestTokens(t *testing.T) {
	h := newHandler(t, running(), func(c *httpapi.Config) { c.Tokens = []string{"old-secret", "new-secret"} })
	tests := []struct {
		path, authorization string
		status              int
	}{
		{"/v1/cluster", "", 401},
		{"/v1/cluster", "Bearer", 401},
		{"/v1/cluster", "Bearer old", 401},
		{"/v1/cluster", "Basic new-secret", 401},
		{"/v1/cluster", "Bearer new-secret", 200},
		{"/v1/cluster", "bearer old-secret", 200},
		{"/v1/nothing", "", 401},
		{"/healthz", "", 200},
		{"/readyz", "", 200},
		{"/openapi.json", "", 200},
		{"/", "", 200},
	}
	for _, tt := range tests {
		w := call(t, h, "GET", tt.path, "", "Authorization", tt.authorization)
		if w.Code != tt.status {
			t.Errorf("GET %s with %q = %d: %s; want %d", tt.path, tt.authorization, w.Code, w.Body, tt.status)
		}
		if w.Code == http.StatusUnauthorized {
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 401, "token_missing")
			if w.Header().Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("GET %s: WWW-Authenticate = %q; want Bearer", tt.path, w.Header().Get("WWW-Authenticate"))
			}
		}
	}
}

// Beyond the rate a request is told to come again; status is still answered.
func TestRequestRate(t *testing.T) {
	h := newHandler(t, running(), func(c *httpapi.Config) { c.RequestRate = 10 })
	refused := 0
	for range 5 {
		if w := call(t, h, "GET", "/v1/dead-letters", ""); w.Code != 200 {
			refused++
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 429, "overloaded")
			if w.Header().Get("Retry-After") != "1" {
				t.Errorf("Retry-After = %q; want 1", w.Header().Get("Retry-After"))
			}
		}
	}
	if refused == 0 {
		t.Error("5 requests at once at 10 per second: none refused")
	}
	for _, path := range []string{"/v1/cluster", "/v1/groups/0", "/v1/shards", "/readyz"} {
		if w := call(t, h, "GET", path, ""); w.Code != 200 {
			t.Errorf("GET %s beyond the rate = %d; want 200", path, w.Code)
		}
	}
}
