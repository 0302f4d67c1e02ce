package node

import (
	"testing"
	"time"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
)

// TestTopicMadeAnewWhereNothingIsOpen makes a topic anew while one group has all of
// it open, and the other none. The leader of the other has no replica of the first,
// as while one is replaced: what it can't see here must not be opened all the same.
func TestTopicMadeAnewWhereNothingIsOpen(t *testing.T) {
	r := startRig(t, func(_ int, cfg *Config) { cfg.Groups, cfg.balanceEvery = 2, 100*time.Millisecond })
	r.spread(2)
	n := r.nodes[r.leader()]
	for _, p := range n.group(0).Partitions() {
		if err := n.Move(patient(t), int(core.PartitionShard(p.Partition, n.cfg.Shards)), 1); err != nil {
			t.Fatal(err)
		}
	}
	r.spread(2)
	n = r.nodes[r.leader()]
	if open := n.group(0).Partitions(); len(open) > 0 {
		t.Fatalf("group 0 has %v open; want none", open)
	}
	there := n.group(1)
	put := func(g *group.Group) {
		n.slots[1].mu.Lock()
		defer n.slots[1].mu.Unlock()
		n.slots[1].g = g
	}
	put(nil)
	defer put(there)

	adm := admin(t, r.broker.Addr())
	if _, err := adm.DeleteTopics(patient(t), "t.numbers"); err != nil {
		t.Fatal(err)
	}
	const many = 20 // so that some are the first group's
	made, err := adm.CreateTopic(patient(t), many, 1, nil, "t.numbers")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stop", func() bool {
		if open := n.group(0).Partitions(); len(open) > 0 {
			t.Fatalf("group 0 opens %v of topic %v, which was made anew", open[0].Partition, made.ID)
		}
		n.inputs.mu.Lock()
		defer n.inputs.mu.Unlock()
		return n.inputs.changed["numbers"]
	})
}
