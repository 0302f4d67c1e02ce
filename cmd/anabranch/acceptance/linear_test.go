package acceptance

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/internal/linear"
)

// histories that processes write: each has its leader killed and a node stopped.
const histories = 3

// lived is a node's API in one life of its process.
type lived struct {
	url  string
	life int
}

// httpNodes are the APIs of a fleet whose nodes come and go.
type httpNodes struct {
	*fleet
	http  *http.Client
	lives [3]atomic.Pointer[lived] // nil: it is down
}

func (h *httpNodes) up(i int) {
	life := 1
	if l := h.lives[i].Load(); l != nil {
		life = l.life + 1
	}
	h.lives[i].Store(&lived{"http://" + h.nodes[i].HTTP, life})
}

// do brings a request to a node.
func (h *httpNodes) do(ctx context.Context, i int, r *linear.Request) (*linear.Answer, error) {
	l := h.lives[i].Load()
	q, err := http.NewRequestWithContext(ctx, r.Method, l.url+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	if r.Key != "" {
		q.Header.Set("Idempotency-Key", r.Key)
	}
	a, err := h.http.Do(q)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		return nil, err
	}
	answer := &linear.Answer{Status: a.StatusCode, Life: l.life, Body: body}
	answer.Index, _ = strconv.ParseUint(a.Header.Get("Anabranch-Index"), 10, 64) // 0: it names none
	return answer, nil
}

// What processes answer over HTTP, while the leader is killed with kill -9 and
// another node is stopped for seconds, is what one machine would answer.
func TestHistories(t *testing.T) {
	skipShort(t, "kills and stops processes")
	dir := t.TempDir()
	key := filepath.Join(dir, "people.key")
	if p := process.Start(t, "key", "create", key); p.End() != 0 {
		t.Fatal(p.Output())
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	h := &httpNodes{fleet: startFleet(t, startOwnKafka(t).address(), key, "", nil), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	for i := range h.nodes {
		h.up(i)
		h.caughtUp(i)
	}
	n := histories
	if full() {
		n = 10 * histories
	}
	for i := range n {
		shop := &linear.Shop{Name: fmt.Sprintf("h%d-", i), API: h.do, Nodes: len(h.nodes), Seed: seed + uint64(i), Timeout: 2 * time.Second,
			Pause: 60 * time.Millisecond, History: &linear.History{}}
		h.trouble(t, shop, rand.New(rand.NewPCG(seed, uint64(i))))
		for _, err := range shop.History.Check() {
			t.Errorf("history %d: %v", i+1, err)
		}
		t.Logf("history %d: %s", i+1, shop.History)
	}
}

// trouble has clients ask while the leader is killed and comes back, and then
// while the next leader, or another node, is stopped for a while.
func (h *httpNodes) trouble(t *testing.T, shop *linear.Shop, dice *rand.Rand) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), process.Patience)
	defer cancel()
	if err := shop.Open(ctx); err != nil {
		t.Fatal(err)
	}
	asking, enough := context.WithCancel(ctx)
	asked := make(chan struct{})
	go func() { defer close(asked); shop.Run(asking, 4) }()
	some := func() { // of the clients' requests come through
		before := len(shop.History.Operations())
		process.Until(t, process.Patience, "requests", func() bool { return len(shop.History.Operations()) > before+40 })
	}
	some()
	victim := h.leader()
	h.kill(victim)
	some()
	h.start(victim)
	h.up(victim)
	h.caughtUp(victim)
	stopped := (h.leader() + dice.IntN(2)) % len(h.nodes)
	h.nodes[stopped].Signal(syscall.SIGSTOP)
	wake := time.NewTimer(time.Duration(1000+dice.IntN(1000)) * time.Millisecond)
	<-wake.C
	h.nodes[stopped].Signal(syscall.SIGCONT)
	some()
	enough()
	<-asked
	if err := shop.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
