package node

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
)

// notes is a fetcher that only writes down what it is told.
type notes struct {
	connectors.Fetcher
	told []string
}

func (n *notes) Assign(_ connectors.PartitionID, offset int64) {
	n.told = append(n.told, fmt.Sprint("assign ", offset))
}
func (n *notes) Remove(connectors.PartitionID) { n.told = append(n.told, "remove") }
func (n *notes) Pause(connectors.PartitionID)  { n.told = append(n.told, "pause") }
func (n *notes) Resume(connectors.PartitionID) { n.told = append(n.told, "resume") }
func (n *notes) Poll(context.Context) ([]connectors.Fetch, error) {
	return nil, nil
}

// TestReaderOfAPartition has a partition's shard move between two groups that
// are led by one node. The tenure that read it may hear of that before or after
// the one that reads it now has begun to.
func TestReaderOfAPartition(t *testing.T) {
	const oldTenure, newTenure = 11, 22
	for _, tt := range []struct {
		name string
		do   []wish
		want []string
	}{
		{"the old reader ends first", []wish{
			{leader.Action{Kind: leader.Remove}, 0, oldTenure},
			{leader.Action{Kind: leader.Assign, Offset: 7}, 1, newTenure},
			{leader.Action{Kind: leader.Pause}, 1, newTenure},
		}, []string{"remove", "assign 7", "pause"}},
		{"the old reader ends last", []wish{
			{leader.Action{Kind: leader.Assign, Offset: 7}, 1, newTenure},
			{leader.Action{Kind: leader.Pause}, 0, oldTenure},
			{leader.Action{Kind: leader.Resume}, 0, oldTenure},
			{leader.Action{Kind: leader.Remove}, 0, oldTenure},
			{leader.Action{Kind: leader.Remove}, 1, newTenure},
		}, []string{"assign 7", "remove"}},
		{"the old reader begins again", []wish{
			{leader.Action{Kind: leader.Assign, Offset: 7}, 1, newTenure},
			{leader.Action{Kind: leader.Assign, Offset: 3}, 0, oldTenure},
			{leader.Action{Kind: leader.Remove}, 0, oldTenure},
		}, []string{"assign 7"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &Node{cfg: config(t, t.TempDir(), "")}
			n.cfg.Groups = 2
			n.places.init(n.cfg.Shards, n.cfg.Groups)
			in, f := newInputs(n), &notes{}
			id := connectors.PartitionID{Topic: "t.numbers", TopicID: "x"}
			at, _ := in.partition(id)
			shard := core.PartitionShard(at, n.cfg.Shards)
			tell := func(w wish) {
				t.Helper()
				w.Partition = id
				in.tell(w.group, w.tenure, []leader.Action{w.Action})
				if _, err := in.pollOnce(t.Context(), f); err != nil {
					t.Fatal(err)
				}
			}
			n.places.take([]core.Placement{{Shard: shard, Group: 0, Version: 1}})
			tell(wish{leader.Action{Kind: leader.Assign}, 0, oldTenure})
			n.places.take([]core.Placement{{Shard: shard, Group: 1, Version: 2}})
			for _, w := range tt.do {
				tell(w)
			}
			if want := append([]string{"assign 0"}, tt.want...); !slices.Equal(f.told, want) {
				t.Errorf("the fetcher was told %q; want %q", f.told, want)
			}
		})
	}
}
