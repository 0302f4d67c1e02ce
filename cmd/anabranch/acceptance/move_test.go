package acceptance

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/engine/core"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

// TestMovesUnderLoad moves shards between the groups of three processes while
// orders are placed and some cancelled; those that hold a partition of the orders
// or the only SKU are among them. The leader of the group that a shard leaves is
// killed in the middle of a move, which then ends one way or the other. Every
// order is decided once, each key's records come in order, and what the nodes
// leave is whole.
func TestMovesUnderLoad(t *testing.T) {
	skipShort(t, "moves shards between groups of three processes")
	const moves, groups, shards = 8, 2, 256
	r := newTrialOf(t, 300, fmt.Sprintf(", groups: %d", groups), nil)
	r.spread(groups)
	seed := uint64(time.Now().UnixNano())
	dice := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	busy := []int{int(state.ShardOf("A", shards)), r.salesShard(shards)}
	cancelled, done := 0, map[string]bool{} // by order
	for i := range moves {
		cancelled += r.cancel(r.nodes[i%len(r.nodes)], done)
		shard := dice.IntN(shards)
		if i%3 == 0 {
			shard = busy[i/3%len(busy)]
		}
		if i == moves/2 {
			from := r.placed(t, shards, groups)[busy[0]]
			r.moveAndKill(busy[0], from, 1-from, time.Duration(dice.IntN(20))*time.Millisecond)
			continue
		}
		from := r.placed(t, shards, groups)[shard]
		code, out := r.nodes[i%len(r.nodes)].Client("cluster", "move", strconv.Itoa(shard), strconv.Itoa(1-from))
		if code != 0 || !strings.Contains(out, fmt.Sprintf("shard %d belongs to group %d; moved in", shard, 1-from)) {
			t.Fatalf("move %d of shard %d from group %d = %d: %s", i, shard, from, code, out)
		}
		r.decide(10)
	}
	r.finish()
	r.placed(t, shards, groups)
	if released := r.released(); released != cancelled {
		t.Errorf("%d orders are released; want the %d that were cancelled", released, cancelled)
	}
	for _, n := range r.nodes {
		n.Signal(os.Interrupt)
	}
	for i, n := range r.nodes {
		if code := n.End(); code != 0 {
			t.Fatalf("n%d: exit code %d:\n%s", i+1, code, n.Output())
		}
		if p := process.Start(t, "verify", r.data(i)); p.End() != 0 {
			t.Errorf("verify of what n%d left:\n%s", i+1, p.Output())
		}
	}
}

// cancel cancels some orders that have just been decided, so that their keys have
// a second decision.
func (r *trial) cancel(n *process.Node, done map[string]bool) (cancelled int) {
	r.t.Helper()
	for _, d := range r.log.list[max(0, len(r.log.list)-10):] {
		if d.Type == "allocation.decided" && !done[d.Order] {
			done[d.Order] = true
			n.Submit(fmt.Sprintf(envelope("order.cancelled", "cancel-"+d.Order)+`"order":%q}`, d.Order))
			cancelled++
		}
	}
	return cancelled
}

// released counts the releases of orders.
func (r *trial) released() (n int) {
	for _, d := range r.log.list {
		if d.Type == "allocation.released" {
			n++
		}
	}
	return n
}

// salesShard is the shard that holds the partition with the orders.
func (r *trial) salesShard(shards int) int {
	r.t.Helper()
	topic := retail.DefaultTopics()[retail.TopicSales]
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: []string{r.shop.broker}})
	if err != nil {
		r.t.Fatal(err)
	}
	defer admin.Close()
	infos, err := admin.Describe(r.t.Context(), []string{topic})
	if err != nil || len(infos) != 1 {
		r.t.Fatalf("describe %s = %d topics, %v", topic, len(infos), err)
	}
	return int(core.PartitionShard(core.Partition{Topic: retail.TopicSales, TopicID: infos[0].TopicID}, shards))
}

// placed asks every node where shards are, until each names every shard once and
// all agree. It returns the group of each.
func (r *trial) placed(t *testing.T, shards, groups int) (at []int) {
	t.Helper()
	process.Until(t, time.Minute, "all nodes with every shard once, in the same place", func() bool {
		at = nil
		for _, n := range r.nodes {
			list := groupsOfShards(n)
			if len(list) != shards+groups || at != nil && !slices.Equal(list, at) {
				return false
			}
			at = list
		}
		return true
	})
	return at
}

// groupsOfShards is, by shard, the group that a node says it is in: none, if one
// is missing or there twice.
func groupsOfShards(n *process.Node) []int {
	var answer struct{ Shards []struct{ Shard, Group int } }
	if n.Get("/v1/shards", &answer) != nil {
		return nil
	}
	at := map[int]int{}
	for _, s := range answer.Shards {
		at[s.Shard] = s.Group
	}
	list := make([]int, len(answer.Shards))
	for i, s := range slices.Sorted(maps.Keys(at)) {
		if s != i {
			return nil
		}
		list[i] = at[s]
	}
	if len(at) != len(list) {
		return nil
	}
	return list
}

// moveAndKill kills the leader of the group that a shard leaves, a while after
// the move has begun, and starts it again. The move ends; then the shard can be
// moved, and so it is served.
func (r *trial) moveAndKill(shard, from, to int, after time.Duration) {
	r.t.Helper()
	victim := r.leaderOf(from)
	asked := r.nodes[(victim+1)%len(r.nodes)]
	var said string
	var asking sync.WaitGroup
	asking.Go(func() { said = askToMove(asked, shard, to) })
	moving := time.NewTimer(after)
	<-moving.C
	r.kill(victim)
	asking.Wait()
	r.t.Logf("shard %d from group %d to %d, leader killed after %v: %s", shard, from, to, after, said)
	r.start(victim)
	r.decide(10)
	r.caughtUp(victim)
	for _, group := range []int{from, to} {
		process.Until(r.t, time.Minute, "the shard can be moved again", func() bool {
			code, out := asked.Client("cluster", "move", strconv.Itoa(shard), strconv.Itoa(group))
			if code != 0 {
				r.t.Logf("move to group %d = %d: %s", group, code, strings.TrimSpace(out))
			}
			return code == 0
		})
	}
	r.decide(10)
}

// leaderOf waits for the node that leads a group.
func (r *trial) leaderOf(group int) (lead int) {
	r.t.Helper()
	process.Until(r.t, process.Patience, "a leader of the group", func() bool {
		for i := range r.nodes {
			if v, ok := r.look(i); ok && v.Groups[group].Role == "leader" {
				lead = i
				return true
			}
		}
		return false
	})
	return lead
}

// askToMove is what a node answers when it is asked to move a shard. It is not a
// command, whose process takes longer to start than a move.
func askToMove(n *process.Node, shard, to int) string {
	body := strings.NewReader(fmt.Sprintf(`{"shard":%d,"group":%d}`, shard, to))
	resp, err := http.Post("http://"+n.HTTP+"/v1/cluster/move", "application/json", body)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return resp.Status + " " + strings.TrimSpace(string(answer))
}
