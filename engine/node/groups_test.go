package node

import (
	"fmt"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/internal/tally"
)

// spread waits until the groups are led by as many nodes as can be.
func (r *rig) spread(groups int) {
	r.t.Helper()
	eventually(r.t, "leaders on different nodes", func() bool {
		led, least, most := map[string]int{}, groups, 0
		for id := range groups {
			led[r.nodes[0].leaderOf(id)]++
		}
		for i := range r.nodes {
			n := led[r.cfgs[i].ID]
			least, most = min(least, n), max(most, n)
		}
		return led[""] == 0 && most-least <= 1
	})
}

// TestGroupsOnSeveralNodes has the groups led by different nodes, so that what a
// partition's group reads for the names of others goes from node to node, and
// stops and restarts a leader while it does.
func TestGroupsOnSeveralNodes(t *testing.T) {
	const names, each = 10, 40
	for _, groups := range []int{2, 4} {
		t.Run(fmt.Sprint(groups, " groups"), func(t *testing.T) {
			r := startRig(t, func(_ int, cfg *Config) { cfg.Groups, cfg.balanceEvery = groups, 100*time.Millisecond })
			r.spread(groups)
			part := func(from, to int) (list [][]byte) {
				for i := from; i < to; i++ {
					for n := range names {
						list = append(list, tally.Line(fmt.Sprint("k", i, "-", n), fmt.Sprint("name", n), 1))
					}
				}
				return list
			}
			produce(t, r.broker.Addr(), part(0, each/2)...)
			gone := r.leader()
			r.stop(gone)
			produce(t, r.broker.Addr(), part(each/2, each)...)
			totals := map[string]int{}
			for _, v := range consume(t, r.broker.Addr(), "t.totals", names*each) {
				totals[v]++
			}
			for n := range names {
				for i := 1; i <= each; i++ {
					if v := fmt.Sprintf("name%d=%d", n, i); totals[v] != 1 {
						t.Errorf("%s was delivered %d times; want once", v, totals[v])
					}
				}
			}
			r.start(gone)
			r.ready()
			for i := range r.nodes {
				for n := range names {
					if sum := r.sum(i, fmt.Sprint("name", n), connectors.Linearizable); sum != each {
						t.Errorf("node %d: name%d = %d; want %d", i+1, n, sum, each)
					}
				}
			}
			r.spread(groups)
			r.same()
		})
	}
}
