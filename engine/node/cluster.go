package node

import (
	"context"
	"fmt"
	"slices"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Ask implements [connectors.Cluster].
func (n *Node) Ask(ctx context.Context, stage, query, key string, question state.Visitable, c connectors.Consistency) (state.Visitable, uint64, error) {
	return n.groupOfKey(key).Ask(ctx, stage, query, key, question, c)
}

// Submit implements [connectors.Cluster].
func (n *Node) Submit(ctx context.Context, e operators.Event, answer bool) (connectors.Reply, error) {
	g, err := n.groupOfEvent(&e)
	if err != nil {
		return connectors.Reply{}, err
	}
	return g.Submit(ctx, e, answer)
}

// groupOfEvent is the group of an event's primary key. What has none is
// dead-lettered by the first group.
func (n *Node) groupOfEvent(e *operators.Event) (*group.Group, error) {
	input := n.cfg.Plan.Input(e.Type)
	if input == nil || e.Reject != nil {
		return n.groups[0], nil
	}
	if e.Payload.Value == nil {
		v := input.Port.New()
		if err := n.cfg.Codec.Decode(e.Payload.Raw, v); err != nil {
			return nil, fmt.Errorf("event %s of %s: %w", e.ID, e.Source, err)
		}
		e.Payload.Value = v
	}
	return n.groupOfKey(input.Key(e.Payload.Value)), nil
}

// FindDecision implements [connectors.Cluster].
func (n *Node) FindDecision(ctx context.Context, id string) (stage, key string, err error) {
	shard, _, ok := core.ParseDecisionID(id)
	if !ok || int(shard) >= n.cfg.Shards {
		return "", "", connectors.ErrNotFound
	}
	return n.groups[n.groupOf(shard)].FindDecision(ctx, id)
}

// Skip implements [connectors.Cluster].
func (n *Node) Skip(ctx context.Context, group int, index, message uint64) error {
	if group < 0 || group >= len(n.groups) {
		return fmt.Errorf("%w: group %d", connectors.ErrNotFound, group)
	}
	return n.groups[group].Skip(ctx, index, message)
}

// Shards implements [connectors.Cluster].
func (n *Node) Shards(ctx context.Context) ([]connectors.ShardStatus, error) {
	var all []connectors.ShardStatus
	for _, g := range n.groups {
		list, err := g.Shards(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// Status implements [connectors.Cluster].
func (n *Node) Status(ctx context.Context) (connectors.Status, error) {
	cfg := &n.cfg
	s := connectors.Status{
		Node: cfg.ID, Cluster: cfg.Cluster, Version: cfg.Version, Durability: cfg.Durability, Clock: cfg.Clock,
		FeatureLevel: core.Level, Incarnation: n.dir.Incarnation, Fingerprint: cfg.Fingerprint, Started: n.started,
	}
	s.NotReady = n.notReady()
	s.Ready = s.NotReady == ""
	inputs := newInputList(n)
	for _, g := range n.groups {
		one, err := g.Status(ctx)
		if err != nil {
			return s, err
		}
		s.Groups = append(s.Groups, one.GroupStatus)
		inputs.add(&one)
	}
	s.Inputs = inputs.finish()
	return s, nil
}

// inputList puts together what the groups know of the input partitions.
type inputList struct {
	n        *Node
	list     []connectors.InputStatus
	at       map[core.Partition]int
	outcomes map[string]outcomes // by partition name
}

// outcomes are what became of a partition's events, over all groups.
type outcomes struct{ applied, duplicates, bad int64 }

func newInputList(n *Node) *inputList {
	return &inputList{n: n, at: map[core.Partition]int{}, outcomes: map[string]outcomes{}}
}

// add takes one group's part.
func (l *inputList) add(s *group.Status) {
	for _, p := range s.Partitions {
		in := connectors.InputStatus{Topic: p.Partition.Topic, Name: l.n.cfg.Topics[p.Partition.Topic],
			Partition: int32(p.Partition.Partition), Next: p.Next, End: -1, Events: p.Events, State: "waiting"}
		if p.Gap != "" {
			in.State = "waiting, after a gap " + p.Gap
		}
		l.at[p.Partition] = len(l.list)
		l.list = append(l.list, in)
	}
	for _, src := range s.Sources {
		if i, ok := l.at[src.Partition]; ok {
			l.list[i].End, l.list[i].State = src.End, src.State
		}
	}
	for origin, o := range s.Outcomes {
		sum := l.outcomes[origin]
		sum.applied += o.Applied
		sum.duplicates += o.Duplicates
		sum.bad += o.DeadLetters
		l.outcomes[origin] = sum
	}
}

// finish adds the outcomes, and the topics that are not read, with the reason.
func (l *inputList) finish() []connectors.InputStatus {
	for p, i := range l.at {
		o := l.outcomes[p.String()]
		l.list[i].Applied, l.list[i].Duplicates, l.list[i].Bad = o.applied, o.duplicates, o.bad
	}
	in := l.n.inputs
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, alias := range in.aliases {
		name := l.n.cfg.Topics[alias]
		switch {
		case in.changed[alias]:
			l.list = append(l.list, connectors.InputStatus{Topic: alias, Name: name, Partition: -1, End: -1,
				State: "stopped: the topic was made anew; on_gap: skip reads on in the new one"})
		case slices.Contains(in.missing, name):
			l.list = append(l.list, connectors.InputStatus{Topic: alias, Name: name, Partition: -1, End: -1,
				State: "waiting: the topic doesn't exist"})
		}
	}
	return l.list
}
