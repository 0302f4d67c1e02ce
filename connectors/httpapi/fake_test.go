package httpapi_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/httpapi"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/topology"
	"anabranch.dev/topology/retail"
)

// fake is a Cluster whose answers a test sets.
type fake struct {
	nodes     []connectors.NodeStatus
	nodesErr  error      // of Nodes, Init and Transfer
	mu        sync.Mutex // guards submitted and contents
	submitted []operators.Event
	contents  map[string]string // by idempotency key, as the cluster remembers them

	ask     func(stage, query, key string, q state.Visitable, c connectors.Consistency) (state.Visitable, uint64, error)
	submit  func(e operators.Event, answer bool) (connectors.Reply, error)
	find    func(id string) (stage, key string, err error)
	letters []operators.DeadLetter
	status  connectors.Status
	shards  []connectors.ShardStatus
	watch   chan connectors.Watched
	err     error // of everything else
	skipped []uint64
}

func (f *fake) Ask(_ context.Context, stage, query, key string, q state.Visitable, c connectors.Consistency) (state.Visitable, uint64, error) {
	return f.ask(stage, query, key, q, c)
}

func (f *fake) Submit(_ context.Context, e operators.Event, answer bool) (connectors.Reply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, ok := e.Payload.Value.(*event.RequestMade); ok {
		return f.requested(r), nil
	}
	f.submitted = append(f.submitted, e)
	return f.submit(e, answer)
}

// requested is what the cluster says of an idempotency key.
func (f *fake) requested(r *event.RequestMade) connectors.Reply {
	if r.Withdrawn {
		delete(f.contents, r.Key)
		return connectors.Reply{Outcome: "applied"}
	}
	if f.contents == nil {
		f.contents = map[string]string{}
	}
	f.contents[r.Key] = cmp.Or(f.contents[r.Key], r.Content)
	return connectors.Reply{Outcome: "applied", Decision: f.contents[r.Key]}
}

func (f *fake) FindDecision(_ context.Context, id string) (stage, key string, err error) {
	return f.find(id)
}

func (f *fake) DeadLetters(_ context.Context, filter connectors.DeadLetterFilter) ([]operators.DeadLetter, error) {
	var out []operators.DeadLetter
	for _, d := range f.letters {
		if (filter.Code == "" || filter.Code == d.Code) && (filter.Type == "" || filter.Type == d.Type) && len(out) < filter.Limit {
			out = append(out, d)
		}
	}
	return out, f.err
}

func (f *fake) DeadLetter(_ context.Context, id string) (operators.DeadLetter, error) {
	for _, d := range f.letters {
		if d.ID == id {
			return d, f.err
		}
	}
	return operators.DeadLetter{}, connectors.ErrNotFound
}

func (f *fake) Redrive(_ context.Context, id string) (connectors.Reply, error) {
	return connectors.Reply{Outcome: "applied", Index: 12}, f.err
}

func (f *fake) Skip(_ context.Context, group int, index, message uint64) error {
	f.skipped = append(f.skipped, uint64(group), index, message)
	return f.err
}

func (f *fake) Status(context.Context) (connectors.Status, error) { return f.status, f.err }

func (f *fake) Shards(context.Context) ([]connectors.ShardStatus, error) { return f.shards, f.err }

func (f *fake) Watch(context.Context) <-chan connectors.Watched { return f.watch }

var _ connectors.Cluster = (*fake)(nil)

func newPlan(t *testing.T) *topology.Plan {
	t.Helper()
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// newHandler serves the API over a fake.
func newHandler(t *testing.T, f *fake, change func(*httpapi.Config)) http.Handler {
	t.Helper()
	key, err := wire.ParseKey(strings.Repeat("ab", wire.MinKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	pseudonyms, err := wire.NewPseudonymiser(wire.Privacy{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	plan := newPlan(t)
	topics := map[string]string{}
	for _, topic := range plan.Topics {
		topics[topic.Alias] = "retail." + topic.Alias
	}
	encoder, err := wire.NewEncoder(wire.EncoderConfig{Cluster: "test", Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	cfg := httpapi.Config{Cluster: f, Plan: plan, Decoder: wire.NewDecoder(pseudonyms), Encoder: encoder, Version: "test"}
	if change != nil {
		change(&cfg)
	}
	h, err := httpapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// call sends one request. headers come in pairs.
func call(t *testing.T, h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// blocking answers no question before its context ends.
type blocking struct{ fake }

func (b *blocking) Ask(ctx context.Context, _, _, _ string, _ state.Visitable, _ connectors.Consistency) (state.Visitable, uint64, error) {
	<-ctx.Done()
	return nil, 0, ctx.Err()
}

// The fake's only snapshot is s1, with one file.
func (f *fake) TakeSnapshot(context.Context) (connectors.Snapshot, error) {
	return connectors.Snapshot{ID: "s1", Cluster: "test", Incarnation: 3, Shards: 256, Groups: 1, Clock: "wall", Lateness: 10 * time.Second,
		Parts: []connectors.SnapshotPart{{Node: "n2", Index: 29, Term: 4, LogTime: 1_000_000}}}, f.err
}

func (f *fake) DescribeSnapshot(ctx context.Context, id string) (connectors.Snapshot, error) {
	s, err := f.TakeSnapshot(ctx)
	if id != s.ID {
		return s, connectors.ErrNotFound
	}
	s.Parts[0].Files = []connectors.SnapshotFile{{Name: "000012.sst", Size: int64(len(fakeFile))}}
	return s, err
}

const fakeFile = "rows and rows"

func (f *fake) ReadSnapshot(_ context.Context, id string, group int, file string, offset int64) ([]byte, error) {
	if id != "s1" || group != 0 || file != "000012.sst" || offset > int64(len(fakeFile)) {
		return nil, connectors.ErrNotFound
	}
	return []byte(fakeFile[offset:]), f.err
}

func (f *fake) DropSnapshot(context.Context, string) error { return f.err }

func (f *fake) Init(context.Context) error { return f.nodesErr }

// Move knows two shards.
func (f *fake) Move(_ context.Context, shard, _ int) error {
	if shard > 1 {
		return fmt.Errorf("%w: shard %d", connectors.ErrNotFound, shard)
	}
	return f.err
}

// Transfer makes the node the leader at once.
func (f *fake) Transfer(_ context.Context, group int, node string) error {
	if f.nodesErr == nil {
		f.status.Groups[group].Leader = cmp.Or(node, "n3")
	}
	return f.nodesErr
}

func (f *fake) Nodes(context.Context) ([]connectors.NodeStatus, error) { return f.nodes, f.nodesErr }
