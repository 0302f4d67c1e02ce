package sim

import (
	"fmt"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/state"
)

// topic is an input topic as Kafka has it now.
type topic struct {
	alias      string
	id         string
	first      bool         // read before the others
	partitions []*partition // what is deleted is among kafka.inputs only
	declared   int          // partitions that the workload knows
	remade     bool         // there was another of the name before
	accepted   bool         // a person lets the topic that was made anew be read
}

// create makes a topic under a new id.
func (k *kafka) create(t *topic, partitions int) {
	k.ids++
	t.id, t.partitions, t.accepted = fmt.Sprintf("%032x", k.ids), nil, false
	for range partitions {
		k.grow(t)
	}
}

// grow adds a partition.
func (k *kafka) grow(t *topic) {
	n := len(t.partitions)
	p := &partition{
		partition: core.Partition{Topic: t.alias, TopicID: t.id, Partition: int64(n)},
		id:        connectors.PartitionID{Topic: "topic." + t.alias, TopicID: t.id, Partition: int32(n)},
		again:     t.remade,
	}
	t.partitions = append(t.partitions, p)
	k.inputs = append(k.inputs, p)
}

func (k *kafka) topic(alias string) *topic {
	for _, t := range k.topics {
		if t.alias == alias {
			return t
		}
	}
	return nil
}

// skips reports whether a topic that was made anew is read without a command.
func (k *kafka) skips(t *topic) bool { return t.accepted || k.gap == leader.GapSkip }

// remake deletes a topic and makes another of the same name; what was not read
// is lost.
func (k *kafka) remake(t *topic) {
	k.w.count("topic made anew")
	k.w.tracef("topic %s is made anew", t.alias)
	for _, p := range t.partitions {
		p.gone = true
	}
	t.remade = true
	k.create(t, t.declared)
}

// expand adds a partition to a topic, into which some of what is produced goes
// from now on.
func (k *kafka) expand(t *topic) {
	k.w.count("partition added")
	k.w.tracef("topic %s gets partition %d", t.alias, len(t.partitions))
	k.grow(t)
}

// describe looks the topics up again and again, as a node does.
func (l *leadership) describe() {
	if !l.alive || l.r.g.leader != l && l.w.healed != 0 {
		return
	}
	l.look()
	l.w.after(l.w.between(200*state.Millisecond, 3*state.Second), l.describe)
}

// look finds out what the group reads now.
func (l *leadership) look() {
	if l.alive && l.tenure != nil {
		l.setInputs()
		l.drive()
	}
}

// setInputs says which partitions the group reads. Those not open in the log yet
// are opened by an entry first.
func (l *leadership) setInputs() {
	l.inputs, l.added = l.list(), false
	clear(l.opening) // it may have been refused while its shard was on the move
	l.addInputs()
}

// list is what the group reads: the partitions of its shards, and those open in
// its log whose topic is gone, so that this is seen. A topic that was made anew
// under the same name is read only if gaps are skipped, or a person said so.
func (l *leadership) list() (list []*partition) {
	k := l.w.kafka
	for _, t := range k.topics {
		open := map[string]bool{} // topic ids, in any group
		for _, g := range l.w.groups {
			c := l.r.core
			if g != l.r.g {
				c = g.known()
			}
			if c == nil {
				continue
			}
			for _, s := range c.Partitions() {
				at := s.Partition
				if at.Topic != t.alias {
					continue
				}
				open[at.TopicID] = true
				if c == l.r.core && at.TopicID != t.id && (!k.skips(t) || !s.Idle) {
					list = append(list, k.input(at))
				}
			}
		}
		if len(open) > 0 && !open[t.id] && !k.skips(t) {
			continue
		}
		for _, p := range t.partitions {
			if l.w.groupOf(core.PartitionShard(p.partition, l.w.cfg.Shards)) == l.r.g.id {
				list = append(list, p)
			}
		}
	}
	return list
}

// known is the core of a living replica, the leader's if there is one.
func (g *group) known() *core.Core {
	if l := g.leader; l != nil && l.r.up {
		return l.r.core
	}
	for _, r := range g.replicas {
		if r.up {
			return r.core
		}
	}
	return nil
}

// serves reports whether the group may read a partition now: its shard may be on
// the move.
func (l *leadership) serves(p *partition) bool {
	return l.r.core.Serves(core.PartitionShard(p.partition, l.w.cfg.Shards))
}

// addInputs starts the sources once all partitions are open.
func (l *leadership) addInputs() {
	c := l.r.core
	idle := map[core.Partition]bool{}
	for _, s := range c.Partitions() {
		idle[s.Partition] = s.Idle
	}
	closed := 0
	for _, p := range l.inputs {
		if !l.serves(p) {
			continue
		}
		if _, open := c.Next(p.partition); open {
			delete(l.opening, p.partition)
			continue
		}
		closed++
		if !l.opening[p.partition] {
			l.opening[p.partition] = true
			l.tenure.Proposer.Control(&core.Control{Kind: core.ControlOpen, Partition: &p.partition, From: p.start})
		}
	}
	if closed > 0 {
		return
	}
	for _, p := range l.inputs {
		if !l.serves(p) {
			continue
		}
		if p.again && l.tenure.Intake.Source(p.partition) == nil {
			l.w.count("topic made anew is read")
		}
		next, _ := c.Next(p.partition)
		l.tenure.Intake.Add(p.partition, p.id, next, idle[p.partition])
	}
	l.added = true
}
