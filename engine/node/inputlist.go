package node

import (
	"slices"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
)

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
	for i := range l.list {
		if state := &l.list[i].State; in.fault != "" && (*state == "reading" || *state == "idle") {
			*state = "waiting: " + in.fault
		}
	}
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
