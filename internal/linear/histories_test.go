package linear

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

var onlySeed = flag.Uint64("seed", 0, "run this history alone")

const (
	usual   = 50 // histories
	clients = 4
	lasts   = 8 * time.Second // of virtual time
	healed  = 30 * time.Second
)

// runHistory has clients and trouble at a cluster in a bubble, and returns what is
// wrong with what came of it.
func runHistory(t *testing.T, seed uint64, counts map[string]int) (faults []error) {
	t.Helper()
	var shop *Shop
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, seed)
		shop = &Shop{API: c.api, Nodes: nodes, Seed: seed, Timeout: 1500 * time.Millisecond, Pause: 120 * time.Millisecond, History: &History{}}
		ctx, cancel := context.WithTimeout(t.Context(), healed)
		defer cancel()
		if err := shop.Open(ctx); err != nil {
			t.Fatal(err)
		}
		x := &trouble{cluster: c, dice: rand.New(rand.NewPCG(seed, 2)), counts: counts}
		busy, over := context.WithTimeout(t.Context(), lasts)
		defer over()
		troubled := make(chan struct{})
		go func() { defer close(troubled); x.run(busy) }()
		shop.Run(busy, clients)
		<-troubled
		ctx, cancel = context.WithTimeout(t.Context(), healed)
		defer cancel()
		for _, err := range []error{c.ready(ctx), shop.Close(ctx)} {
			if err != nil {
				faults = append(faults, err)
			}
		}
		c.end()
	})
	// Outside of the bubble, where time passes while it thinks.
	tell(shop.History, counts)
	return append(faults, shop.History.Check()...)
}

// tell counts what came of the operations.
func tell(h *History, counts map[string]int) {
	for _, o := range h.Operations() {
		counts[o.Kind.name(o.Stale)+" "+o.Outcome.name()]++
	}
}

// TestHistories has many histories judged. Raft draws its timeouts itself, so that
// a seed fixes what is asked and done, not who wins a race.
func TestHistories(t *testing.T) {
	n := uint64(usual)
	if testing.Short() {
		n = usual / 10
	}
	if os.Getenv("ANABRANCH_FULL") == "1" {
		n = 5 * usual
	}
	first := uint64(1)
	if *onlySeed > 0 {
		first, n = *onlySeed, 1
	}
	counts := map[string]int{}
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			for _, err := range runHistory(t, seed, counts) {
				t.Error(err)
			}
			if t.Failed() {
				t.Logf("replay with: go test ./internal/linear -run TestHistories -seed %d -count 20", seed)
			}
		})
	}
	t.Log(counts)
	must := []string{"place maybe", "place key reused", "cancel done", "receive maybe", "receive again", "read done", "read maybe", "stale read done"}
	for _, f := range faults {
		must = append(must, f.name)
	}
	for _, what := range must {
		if n >= usual && counts[what] == 0 {
			t.Errorf("%s: never", what)
		}
	}
}
