package node

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"anabranch.dev/engine/peer"
	"anabranch.dev/internal/metrics"
)

// scrapeTimeout bounds how long a scrape waits for a busy group.
const scrapeTimeout = 2 * time.Second

// scrape reports what can be read from the state when it is asked for.
func (n *Node) scrape(emit metrics.Emit) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	emit("anabranch_node_ready", "1 when this node can decide.", metrics.Gauge, truth(n.notReady() == ""))
	n.scrapePeers(emit)
	for _, slot := range n.slots {
		slot.scrapeReplica(emit)
		g := n.group(slot.id)
		if g == nil {
			continue
		}
		s, err := g.Status(ctx)
		if err != nil {
			continue // what can't be read in time is missing in this scrape
		}
		label := []string{"group", strconv.Itoa(s.Group)}
		gauge := func(name, help string, v float64) { emit(name, help, metrics.Gauge, v, label...) }
		gauge("anabranch_group_leader", "1 when this node leads the group.", truth(s.Role == "leader"))
		gauge("anabranch_group_halted", "1 when a broken invariant has halted the group.", truth(s.Halted != ""))
		gauge("anabranch_group_apply_lag_entries", "Committed entries not yet applied.", lag(s.Commit, s.Applied))
		gauge("anabranch_state_write_lag_entries", "Applied entries whose rows are not yet handed to the disk.", lag(s.Applied, s.Written))
		gauge("anabranch_log_since_snapshot_bytes", "Log since the last snapshot.", float64(s.LogBytes))
		gauge("anabranch_outbox_depth_records", "Records not yet known to be in Kafka.", float64(s.OutboxRecords))
		gauge("anabranch_outbox_depth_bytes", "The same in bytes.", float64(s.OutboxBytes))
		gauge("anabranch_lane_depth_messages", "Messages to other shards not yet known to be applied there.", float64(s.LaneMessages))
		age := 0.0
		if s.OutboxOldest != 0 {
			age = max(0, time.Since(s.OutboxOldest.Wall()).Seconds())
		}
		gauge("anabranch_outbox_age_seconds", "Time since the oldest record not yet in Kafka was decided; under the replay clock, since the time of its event.", age)
		gauge("anabranch_core_dead_letters_kept", "Dead letters kept.", float64(s.DeadLettered))
		gauge("anabranch_core_shards_frozen", "Shards on their way to another group: nothing is decided for their keys.", float64(s.ShardsFrozen))
		for _, src := range s.Sources {
			if src.End >= 0 {
				emit("anabranch_source_lag_records", "Offsets between what is applied and the end of the partition.", metrics.Gauge,
					float64(max(0, src.End-src.Next)), "group", label[1], "topic", src.Partition.Topic, "partition", strconv.FormatInt(src.Partition.Partition, 10))
			}
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func lag(ahead, behind uint64) float64 {
	if behind >= ahead {
		return 0
	}
	return float64(ahead - behind)
}

// scrapePeers reports what there is beside the groups.
func (n *Node) scrapePeers(emit metrics.Emit) {
	id := n.dir.now()
	emit("anabranch_node_members", "Nodes of the cluster.", metrics.Gauge, float64(len(id.Members)))
	reached := 0.0
	for _, m := range id.Members {
		reached += truth(m.ID == n.cfg.ID || n.peers.of(m.ID).fresh())
	}
	emit("anabranch_node_members_reached", "Nodes of the cluster that answer this one, itself included.", metrics.Gauge, reached)
	if off, ok := n.clockOff(); ok {
		emit("anabranch_node_clock_offset_seconds", "How far this node's clock is ahead of the median of all.", metrics.Gauge, off.Seconds())
	}
	stats := n.port.Stats()
	emit("anabranch_peer_streams", "Open Raft streams from and to other nodes.", metrics.Gauge, float64(stats.Streams))
	for reason, count := range stats.Refused {
		emit("anabranch_peer_refused_total", "Connections to the peer port that were refused.", metrics.Counter, float64(count), "reason", string(reason))
	}
	n.forwarded.each(func(method, outcome string, calls int) {
		emit("anabranch_node_forwarded_calls_total", "Requests that another node was asked to answer.", metrics.Counter, float64(calls), "call", method, "outcome", outcome)
	})
}

// scrapeReplica reports where the replica stands among the others.
func (s *slot) scrapeReplica(emit metrics.Emit) {
	s.mu.Lock()
	g, moves, damaged := s.g, s.moves, s.damaged
	s.mu.Unlock()
	label := []string{"group", strconv.Itoa(s.id)}
	emit("anabranch_group_quarantines_total", "Directories of damaged replicas that were put aside since the start.", metrics.Counter, float64(moves), label...)
	emit("anabranch_group_damaged", "1 while the replica on this node is damaged.", metrics.Gauge, truth(damaged != "" && g == nil), label...)
	if g == nil {
		return
	}
	emit("anabranch_group_votes", "1 when the replica on this node votes.", metrics.Gauge, truth(g.VotesHere()), label...)
	if !g.Leading() {
		return
	}
	for _, m := range s.n.dir.now().Members {
		v := s.n.peers.of(m.ID)
		if behind, ok := v.lag(s.id); ok {
			emit("anabranch_group_follower_lag_entries", "Entries that a follower had not applied, when it last said how far it is.", metrics.Gauge,
				float64(behind), append(label, "node", m.ID)...)
		}
	}
}

// callCounter counts what other nodes were asked.
type callCounter struct {
	mu    sync.Mutex // guards calls
	calls map[[2]string]int
}

func (c *callCounter) count(method string, err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, errNotLeader):
		outcome = "not_leader"
	case errors.Is(err, peer.ErrUnreachable):
		outcome = "unreachable"
	case errors.Is(err, peer.ErrBroken):
		outcome = "broken"
	case err != nil:
		outcome = "error"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[[2]string]int{}
	}
	c.calls[[2]string{method, outcome}]++
}

func (c *callCounter) each(fn func(method, outcome string, calls int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, calls := range c.calls {
		fn(k[0], k[1], calls)
	}
}
