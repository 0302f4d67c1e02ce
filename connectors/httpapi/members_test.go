package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"anabranch.dev/connectors"
)

func (f *fake) AddNode(_ context.Context, node, peer string) (connectors.Membership, error) {
	return connectors.Membership{Node: node + " at " + peer, State: "joining", Members: 4, Version: 1}, f.nodesErr
}

func (f *fake) DrainNode(_ context.Context, node string, undo bool) (connectors.Membership, error) {
	state := "draining"
	if undo {
		state = "member"
	}
	return connectors.Membership{Node: node, State: state, Members: 3, Version: 2}, f.nodesErr
}

func (f *fake) RemoveNode(_ context.Context, node string, force bool) (connectors.Membership, error) {
	return connectors.Membership{Node: fmt.Sprint(node, " ", force), State: "leaving", Members: 3, Version: 3}, f.nodesErr
}

func (f *fake) Upgrade(context.Context) (connectors.Upgraded, error) {
	return connectors.Upgraded{Before: 1, Level: 2}, f.nodesErr
}

func TestMembers(t *testing.T) {
	f := three()
	f.nodes[1].State = "draining"
	h := newHandler(t, f, nil)
	for _, tt := range []struct{ path, body, want string }{
		{"add", `{"node":"n4","peer":"10.0.0.4:8471"}`, `{"node":"n4 at 10.0.0.4:8471","state":"joining","members":4,"version":1}`},
		{"drain", `{"node":"n1"}`, `{"node":"n1","state":"draining","members":3,"version":2}`},
		{"drain", `{"node":"n1","undo":true}`, `{"node":"n1","state":"member","members":3,"version":2}`},
		{"remove", `{"node":"n1"}`, `{"node":"n1 false","state":"leaving","members":3,"version":3}`},
		{"upgrade", "", `{"before":1,"level":2}`},
		{"remove", `{"node":"n1","force":true}`, `{"node":"n1 true","state":"leaving","members":3,"version":3}`},
	} {
		w := call(t, h, "POST", "/v1/cluster/"+tt.path, tt.body)
		if w.Code != 200 || strings.TrimSpace(w.Body.String()) != tt.want || w.Header().Get("Anabranch-Index") != "20" {
			t.Errorf("%s %s = %d, index %s: %s; want %s", tt.path, tt.body, w.Code, w.Header().Get("Anabranch-Index"), w.Body, tt.want)
		}
	}
	if w := call(t, h, "GET", "/v1/cluster", ""); !strings.Contains(w.Body.String(), `"state":"draining"`) {
		t.Errorf("GET /v1/cluster = %s; want the state of n2", w.Body)
	}
	for _, tt := range []struct {
		err    error
		status int
		code   string
	}{
		{errors.New("node n1 is not drained"), 409, "refused"},
		{fmt.Errorf("%w: node n9 is not a member", connectors.ErrNotFound), 404, "not_found"},
		{connectors.ErrUnknown, 504, "outcome_unknown"},
	} {
		f.nodesErr = tt.err
		w := call(t, h, "POST", "/v1/cluster/remove", `{"node":"n1"}`)
		wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code)
	}
	w := call(t, h, "POST", "/v1/cluster/add", `{"node":"n4"}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 422, "bad_parameter")
}
