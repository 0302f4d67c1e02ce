package node

import (
	"context"
	"strconv"
	"time"

	"anabranch.dev/internal/metrics"
)

// scrapeTimeout bounds how long a scrape waits for a busy group.
const scrapeTimeout = 2 * time.Second

// scrape reports what can be read from the state when it is asked for.
func (n *Node) scrape(emit metrics.Emit) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	emit("anabranch_node_ready", "1 when this node can decide.", metrics.Gauge, truth(n.notReady() == ""))
	for _, g := range n.groups {
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
		age := 0.0
		if s.OutboxOldest != 0 {
			age = max(0, time.Since(s.OutboxOldest.Wall()).Seconds())
		}
		gauge("anabranch_outbox_age_seconds", "Time since the oldest record not yet in Kafka was decided; under the replay clock, since the time of its event.", age)
		gauge("anabranch_core_dead_letters_kept", "Dead letters kept.", float64(s.DeadLettered))
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
