package group

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/engine/peer"
	"anabranch.dev/state"
)

// Status is a group as this node sees it.
type Status struct {
	connectors.GroupStatus
	OutboxBytes int64
	Partitions  []core.PartitionState
	Outcomes    map[string]Outcomes // of events, by origin: a partition's name
	Sources     []SourceStatus      // while this replica leads
	LogBytes    int64               // since the last snapshot
}

// Outcomes count what became of an origin's events in this group.
type Outcomes struct{ Applied, Duplicates, DeadLetters int64 }

// SourceStatus is what reads one partition.
type SourceStatus struct {
	Partition core.Partition
	ID        connectors.PartitionID
	Next, End int64
	State     string
}

// Status describes the group.
func (g *Group) Status(ctx context.Context) (Status, error) {
	var s Status
	s.Group, s.Replica, s.Role = g.cfg.Core.Group, g.cfg.Replica, "stopped"
	if errors.Is(g.Err(), ErrDamaged) {
		s.Role, s.Damaged = "damaged", g.Err().Error()
	}
	if !g.joined.Load() || g.stopped() {
		return s, nil
	}
	_, err := g.read(func() error {
		s.Applied = g.Applied()
		s.Written = g.store.Written()
		s.LogTime, s.Level = g.core.LogTime(), g.core.Level()
		s.OutboxRecords, s.OutboxBytes = g.core.OutboxDepth()
		s.LaneMessages = int(g.core.LaneMessages())
		s.DeadLettered = int(g.core.DeadLettered())
		for _, m := range g.core.Moves() {
			if m.Phase == core.PhaseFrozen {
				s.ShardsFrozen++
			}
		}
		s.Partitions = g.core.Partitions()
		s.Outcomes = map[string]Outcomes{}
		g.core.Counters(func(origin string, applied, duplicates, deadLetters int64) {
			s.Outcomes[origin] = Outcomes{applied, duplicates, deadLetters}
		})
		if h := g.core.Halted(); h != nil {
			s.Halted = fmt.Sprintf("%s at message %d of entry %d", h.Code, h.Message, h.Index)
		}
		return nil
	})
	if err != nil {
		return s, nil // it is being stopped
	}
	_, id := g.raft.LeaderWithID()
	s.Leader = peer.NodeOf(string(id))
	if s.Role = strings.ToLower(g.raft.State().String()); !g.VotesHere() {
		s.Role = "joining"
	}
	s.Term = g.raft.CurrentTerm()
	s.Commit = g.raft.CommitIndex()
	s.SnapshotIndex, _ = g.snaps.Newest()
	s.Voters = len(g.voters())
	s.LogBytes = g.logBytes.Load()
	led := s
	leads, err := g.look(ctx, func(t *tenure) { t.describe(&led) })
	switch {
	case err != nil:
		return s, err
	case leads:
		return led, nil
	case s.Halted != "":
		s.Delivery = "stopped: group is halted"
	default:
		s.Delivery = "waiting: not leader"
	}
	return s, nil
}

func (t *tenure) describe(s *Status) {
	now := t.g.now()
	d := t.machines.Delivery
	s.Delivery = string(d.State())
	if why := d.Why(); why != "" {
		s.Delivery += ": " + why
	}
	s.OutboxOldest = t.oldest()
	for _, src := range t.machines.Intake.Sources() {
		s.Sources = append(s.Sources, SourceStatus{Partition: src.Partition(), ID: src.ID(),
			Next: src.Next(), End: src.Stable(), State: src.State(now)})
	}
}

// FirstRead reports whether this replica leads, and has had all inputs open and
// the first topics read to their end.
func (g *Group) FirstRead(ctx context.Context) (read bool, err error) {
	var seen bool
	leads, err := g.look(ctx, func(t *tenure) {
		t.checkFirst()
		seen = t.told
	})
	return leads && seen, err
}

// MergeState is where the merge of a group's inputs stands in one tenure.
type MergeState struct {
	leader.MergeState
	Tenure uint64
	Index  uint64 // last entry that is applied
}

// Advance lets the merge of the replay clock pass everything up to a log time,
// and says where it stands; see [leader.Tenure.Advance]. It reports whether this
// replica leads.
func (g *Group) Advance(ctx context.Context, limit state.Time) (s MergeState, leads bool, err error) {
	leads, err = g.look(ctx, func(t *tenure) {
		s.MergeState = t.machines.Advance(limit)
		s.Quiet = s.Quiet && t.added
		s.Tenure, s.Index = t.nonce, g.appliedIndex.Load()
	})
	return s, leads, err
}

// Shards lists the group's shards with their digests, all at one index.
func (g *Group) Shards(ctx context.Context) ([]connectors.ShardStatus, error) {
	r, err := g.View(ctx, connectors.Stale)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	var shards []state.Shard
	if g.core != nil {
		shards = g.core.Shards()
	}
	g.mu.Unlock()
	list := make([]connectors.ShardStatus, 0, len(shards))
	for _, shard := range shards {
		if err = ctx.Err(); err != nil {
			break
		}
		s := connectors.ShardStatus{Shard: int(shard), Group: g.cfg.Core.Group, Index: r.Index()}
		var d state.Digest
		if d, err = r.Digest(shard); err != nil {
			break
		}
		s.Digest = d.String()
		list = append(list, s)
	}
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	return list, err
}
