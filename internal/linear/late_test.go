package linear

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lateAnswers has many clients read at a leader that hears everything late, while
// it hands over and goods come in at the next one. It returns what is wrong with
// what they read.
func lateAnswers(t *testing.T, seed uint64) []error {
	t.Helper()
	shop := &Shop{Nodes: nodes, Seed: seed, Timeout: 1500 * time.Millisecond, History: &History{}}
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, seed)
		shop.API = c.api
		ctx, cancel := context.WithTimeout(t.Context(), healed)
		defer cancel()
		if err := shop.Open(ctx); err != nil {
			t.Fatal(err)
		}
		x := &trouble{cluster: c}
		old := c.leader()
		next := (old + 1) % nodes
		for _, p := range x.paths(old, false, true) {
			c.net.setSlow(p, 300*time.Millisecond)
		}
		sleep(ctx, time.Second) // answers are on their way
		var asked sync.WaitGroup
		reading, enough := context.WithCancel(ctx)
		asked.Go(func() {
			for i := 1; sleep(reading, 3*time.Millisecond); i++ {
				asked.Go(func() { shop.client(i).read(ctx, old, Counted, false) })
			}
		})
		asked.Go(func() {
			// It learns late, or never, that it was understood.
			if err := c.members[old].life.Load().Transfer(reading, 0, c.members[next].name()); err != nil {
				t.Logf("hand-over: %v", err)
			}
		})
		for c.role(next) != "leader" && sleep(ctx, time.Millisecond) {
		}
		client := shop.client(0)
		client.receive(ctx, next, client.receipt(Counted))
		sleep(ctx, 400*time.Millisecond)
		enough()
		asked.Wait()
		c.end()
	})
	return shop.History.Check()
}

// What a leader hears late doesn't tell it that it still leads.
func TestLateAnswers(t *testing.T) {
	for seed := uint64(1); seed <= 4; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			for _, err := range lateAnswers(t, seed) {
				t.Error(err)
			}
		})
	}
}
