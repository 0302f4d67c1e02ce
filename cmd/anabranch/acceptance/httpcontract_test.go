package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/connectors/httpapi"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/internal/assembly"
)

// apis are the APIs of a cluster's nodes.
type apis struct {
	t     *testing.T
	base  []string // URLs by node
	token string   // empty: none is wanted
	http  *http.Client
}

// nearCluster is three nodes in this process with an API each.
type nearCluster struct {
	*assembly.Cluster
	*apis
}

// startNear runs a cluster until the test ends.
func startNear(t *testing.T) *nearCluster {
	t.Helper()
	plan, err := assembly.Plan()
	if err != nil {
		t.Fatal(err)
	}
	broker, err := embedded.Start(embedded.Config{Topics: assembly.BrokerTopics(plan)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	dir := t.TempDir()
	key, err := wire.CreateKey(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	c := &nearCluster{apis: &apis{t: t, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}}
	var listeners []net.Listener
	quiet := slog.New(slog.DiscardHandler)
	c.Cluster, err = assembly.OpenCluster(3, func(i int, cfg *assembly.Config) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners, c.base = append(listeners, l), append(c.base, "http://"+l.Addr().String())
		cfg.Dir, cfg.Key, cfg.Kafka.Brokers, cfg.HTTP = filepath.Join(dir, fmt.Sprint(i)), key, []string{broker.Addr()}, l.Addr().String()
		cfg.Durability, cfg.Shards, cfg.Log = "memory", 64, quiet
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, "cluster", c.Run)
	for i, n := range c.Nodes {
		h, err := httpapi.New(httpapi.Config{Cluster: n, Plan: n.Plan, Decoder: n.Decoder, Encoder: n.Encoder, Metrics: n.Metrics.Handler(), Version: "test"})
		if err != nil {
			t.Fatal(err)
		}
		background(t, "API", func(ctx context.Context) error { return httpapi.Serve(ctx, listeners[i], h, quiet) })
	}
	ctx, cancel := context.WithTimeout(t.Context(), process.Patience)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// background runs something until the test ends.
func background(t *testing.T, what string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", what, err)
		}
	})
}

// roles are the numbers of the leader and of a follower.
func (c *nearCluster) roles() (leader, follower int) {
	c.t.Helper()
	process.Until(c.t, process.Patience, "a leader", func() bool {
		leader = slices.Index(c.Nodes, c.Leader(0))
		return leader >= 0
	})
	return leader, (leader + 1) % len(c.Nodes)
}

// call sends a request to a node and returns its answer.
func (c *apis) call(node int, r *request) *answer {
	c.t.Helper()
	a, err := c.try(node, r)
	if err != nil {
		c.t.Fatalf("%s: %v", r, err)
	}
	return a
}

func (c *apis) try(node int, r *request) (*answer, error) {
	hr, err := http.NewRequest(r.method, c.base[node]+r.url, strings.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		hr.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range r.headers {
		hr.Header.Set(name, value)
	}
	resp, err := c.http.Do(hr)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// stock stocks the cluster through its leader.
func (c *nearCluster) stock() known {
	c.t.Helper()
	lead, _ := c.roles()
	return c.stockAt(lead)
}

// stockAt makes a place with goods and an order of them, and returns what names
// them in paths.
func (c *apis) stockAt(lead int) known {
	c.t.Helper()
	for _, event := range []string{
		`{"id":"l-1","type":"location","location":"riverside","kind":"store","channel":"own_store","lat":39.93,"lon":116.45,"pools":["store"]}`,
		`{"id":"p-1","type":"product","sku":"glasses-7","price":"899.00","currency":"CNY"}`,
		`{"id":"k-1","type":"stock.counted","sku":"glasses-7","location":"riverside","pool":"store","quantity":1000000,"document":"k-1"}`,
		`{"id":"late-1","type":"stock.counted","time":"2020-01-01T00:00:00Z","sku":"glasses-7","location":"riverside","quantity":1,"document":"k-2"}`,
	} {
		c.until(lead, &request{method: "POST", url: "/v1/events", body: event, headers: jsonBody()})
	}
	placed := c.until(lead, &request{method: "POST", url: "/v1/orders", body: contractOrder("A-1", 2), headers: jsonBody("Idempotency-Key", "A-1")})
	var decided struct{ Decision struct{ ID string } }
	if err := json.Unmarshal(placed.body, &decided); err != nil || decided.Decision.ID == "" {
		c.t.Fatalf("order placed = %s; want a decision (%v)", placed.body, err)
	}
	letters := c.until(lead, &request{method: "GET", url: "/v1/dead-letters"})
	var list struct {
		DeadLetters []struct{ ID string } `json:"dead_letters"`
	}
	if err := json.Unmarshal(letters.body, &list); err != nil || len(list.DeadLetters) == 0 {
		c.t.Fatalf("dead letters = %s; want one (%v)", letters.body, err)
	}
	taken := c.until(lead, &request{method: "POST", url: "/v1/cluster/snapshots", headers: jsonBody()})
	var snapshot struct{ ID string }
	if err := json.Unmarshal(taken.body, &snapshot); err != nil || snapshot.ID == "" {
		c.t.Fatalf("snapshot = %s; want its id (%v)", taken.body, err)
	}
	return known{"/v1/cluster/snapshots/{id}": snapshot.ID, "/v1/cluster/snapshots/{id}/file": snapshot.ID, "/v1/cluster/snapshots/{id}/drop": "another",
		"/v1/stock/{sku}": "glasses-7", "/v1/orders/{order}": "A-1", "/v1/decisions/{id}": decided.Decision.ID, "/v1/policies/{name}": "allocation",
		"/v1/totals/{currency}": "CNY", "/v1/dead-letters/{id}": list.DeadLetters[0].ID, "/v1/dead-letters/{id}/redrive": list.DeadLetters[0].ID, "/v1/groups/{g}": "0"}
}

// known gives a value that exists for each path with a parameter.
type known map[string]string

func jsonBody(more ...string) map[string]string {
	headers := map[string]string{"Content-Type": "application/json"}
	for i := 0; i < len(more); i += 2 {
		headers[more[i]] = more[i+1]
	}
	return headers
}

func contractOrder(number string, quantity int) string {
	return fmt.Sprintf(`{"order":%q,"channel":"own_online","location":"riverside","currency":"CNY","lines":[{"line":1,"sku":"glasses-7","quantity":%d,"unit_price":"899.00"}]}`, number, quantity)
}

// until asks until the answer is not that a leader is missing, and wants 200.
func (c *apis) until(node int, r *request) (a *answer) {
	c.t.Helper()
	process.Until(c.t, process.Patience, r.String(), func() bool {
		a = c.call(node, r)
		return a.status != http.StatusServiceUnavailable
	})
	if a.status != http.StatusOK {
		c.t.Fatalf("%s = %d: %s", r, a.status, a.body)
	}
	return a
}

// Whatever an operation is given, leader and follower answer with what the
// OpenAPI document says, and never that something inside went wrong. What the
// live feed says meanwhile is what the schemas of the events say.
func TestHTTPContract(t *testing.T) {
	c := startNear(t)
	lead, follower := c.roles()
	records := []*liveRecords{c.follow(lead), c.follow(follower)}
	k := c.newContract(c.stock(), follower)
	for _, op := range k.spec.operations(t) {
		for _, r := range k.maker.requests(op) {
			k.ask(op, r, lead, follower)
		}
	}
	k.report(200, 400, 404, 409, 413, 415, 422)
	for i, r := range records {
		types := r.judge(t)
		t.Logf("live feed %d: %v", i+1, types)
		for _, want := range []string{"allocation.decided", "stock.level", "message.dead_lettered"} {
			if types[want] == 0 {
				t.Errorf("the live feed had no %s", want)
			}
		}
	}
}

// contract holds answers against the OpenAPI document and counts them.
type contract struct {
	*apis
	spec        *spec
	maker       *maker
	asked       int
	statuses    map[int]int
	byOperation map[string]map[int]int
}

// newContract reads a node's document. named is what there is to be asked for.
func (c *apis) newContract(named known, node int) *contract {
	c.t.Helper()
	seed := rand.Uint64()
	c.t.Logf("seed %d", seed)
	k := &contract{apis: c, spec: readSpec(c.t, c.call(node, &request{method: "GET", url: "/openapi.json"}).body),
		statuses: map[int]int{}, byOperation: map[string]map[int]int{}}
	k.maker = &maker{spec: k.spec, known: named, dice: rand.New(rand.NewPCG(seed, 0))}
	return k
}

// ask sends a request to nodes and judges their answers.
func (k *contract) ask(op *operation, r *request, nodes ...int) {
	k.t.Helper()
	for _, node := range nodes {
		a := k.call(node, r)
		if faults := k.spec.judge(op, a); len(faults) > 0 {
			k.t.Errorf("n%d: %s = %d\n%s\n%s", node+1, r, a.status, strings.Join(faults, "\n"), cut(string(a.body), 600))
		}
		k.statuses[a.status]++
		if k.byOperation[op.OperationID] == nil {
			k.byOperation[op.OperationID] = map[int]int{}
		}
		k.byOperation[op.OperationID][a.status]++
		k.asked++
	}
}

// report shows what was asked, and wants each of these statuses among the
// answers.
func (k *contract) report(wanted ...int) {
	k.t.Helper()
	k.t.Logf("%d requests of %d operations, answers by status: %v", k.asked, len(k.spec.ops), k.statuses)
	for _, id := range slices.Sorted(maps.Keys(k.byOperation)) {
		k.t.Logf("%s: %v", id, k.byOperation[id])
	}
	for _, status := range wanted {
		if k.statuses[status] == 0 {
			k.t.Errorf("no request was answered %d: the requests are not hostile enough", status)
		}
	}
}

// A query with a linearizable answer says the same on leader and follower, and
// includes what either of them took just before.
func TestLeaderAndFollowerAgree(t *testing.T) {
	c := startNear(t)
	named := c.stock()
	lead, follower := c.roles()
	for i, node := range []int{lead, follower, lead, follower} {
		number := fmt.Sprint("B-", i)
		placed := c.until(node, &request{method: "POST", url: "/v1/orders", body: contractOrder(number, 1), headers: jsonBody("Idempotency-Key", number)})
		again := c.until(lead+follower-node, &request{method: "POST", url: "/v1/orders", body: contractOrder(number, 1), headers: jsonBody("Idempotency-Key", number)})
		if string(placed.body) != string(again.body) {
			t.Errorf("order %s: one node decided %s, the other answers %s", number, placed.body, again.body)
		}
		for _, path := range slices.Sorted(maps.Keys(named)) {
			if strings.HasSuffix(path, "/redrive") || strings.HasSuffix(path, "/drop") || strings.HasSuffix(path, "/file") || strings.HasPrefix(path, "/v1/groups") {
				continue // commands, what needs more to be named, and a node's own view
			}
			value := named[path]
			if strings.HasPrefix(path, "/v1/orders") {
				value = number
			}
			begin, end, _ := strings.Cut(path, "{")
			_, end, _ = strings.Cut(end, "}")
			r := &request{method: "GET", url: begin + value + end}
			one, other := c.until(lead, r), c.until(follower, r)
			if string(one.body) != string(other.body) {
				t.Errorf("%s: leader says %s, follower %s", r, one.body, other.body)
			}
			for _, a := range []*answer{one, other} {
				if index := a.header.Get("Anabranch-Index"); index == "" || index == "0" {
					t.Errorf("%s: Anabranch-Index is %q", r, index)
				}
			}
		}
	}
}
