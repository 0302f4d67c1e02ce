package main

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"anabranch.dev/engine/verify"
)

// shardDigest is what is read of GET /v1/shards.
type shardDigest struct {
	Shard, Group int
	Index        uint64
	Digest       string
}

// takenDigest is the digest of a replica's state after an entry at which all
// replicas take one.
type takenDigest struct {
	Index  uint64
	Digest string
}

// digests has the nodes' digests compared, each group's at one index: those that
// they have taken lately, or else those of this moment.
func (r *clusterReport) digests(ctx context.Context, nodes []askedNode) error {
	if len(nodes) < 2 {
		return nil
	}
	var open []int // groups that are still to be compared
	for _, g := range nodes[0].groups {
		if !r.compareTaken(g.Group, nodes) {
			open = append(open, g.Group)
		}
	}
	for range digestTries {
		if len(open) == 0 {
			break
		}
		groups := groupDigests(askDigests(ctx, nodes))
		open = slices.DeleteFunc(open, func(g int) bool { return r.compare(g, groups[g]) })
		if err := pause(ctx, digestAgain); err != nil {
			return err
		}
	}
	for _, g := range open {
		r.Compared = append(r.Compared, comparedGroup{Group: g, Nodes: []string{}})
	}
	slices.SortFunc(r.Compared, func(a, b comparedGroup) int { return cmp.Compare(a.Group, b.Group) })
	return nil
}

// compareTaken compares digests at the last entry at which all nodes have taken
// one, and says whether there is one.
func (r *clusterReport) compareTaken(group int, nodes []askedNode) bool {
	at := map[uint64][]nodeDigests{}
	last := uint64(0)
	for _, n := range nodes {
		for _, g := range n.groups {
			if g.Group != group {
				continue
			}
			for _, d := range g.Digests {
				at[d.Index] = append(at[d.Index], nodeDigests{node: n.name, index: d.Index, sum: d.Digest})
				if len(at[d.Index]) == len(nodes) {
					last = max(last, d.Index)
				}
			}
		}
	}
	if last == 0 {
		return false
	}
	seen := at[last]
	for _, n := range seen[1:] {
		if n.sum != seen[0].sum {
			r.addf(n.node, group, verify.Replicas, "state", "its digest at entry %d differs from that of node %s", last, seen[0].node)
		}
	}
	r.Compared = append(r.Compared, comparedGroup{Group: group, Index: last, Nodes: namesOf(seen)})
	return true
}

// nodeDigests are those of one group on one node.
type nodeDigests struct {
	node  string
	index uint64
	sum   string        // of all shards
	list  []shardDigest // of each
}

// askDigests asks all nodes at one moment. One that doesn't answer has been
// named already.
func askDigests(ctx context.Context, nodes []askedNode) map[string][]shardDigest {
	var mu sync.Mutex // guards answers
	answers := map[string][]shardDigest{}
	var asked sync.WaitGroup
	for _, n := range nodes {
		asked.Go(func() {
			b, err := n.client.get(ctx, nil, "v1", "shards")
			if err != nil {
				return
			}
			a, err := decode[struct{ Shards []shardDigest }](n.client, b)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers[n.name] = a.Shards
		})
	}
	asked.Wait()
	return answers
}

// groupDigests sorts answers by group; nodes in order of their names.
func groupDigests(answers map[string][]shardDigest) map[int][]nodeDigests {
	groups := map[int][]nodeDigests{}
	for node, list := range answers {
		slices.SortFunc(list, func(a, b shardDigest) int {
			return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Shard, b.Shard))
		})
		for len(list) > 0 {
			group := list[0].Group
			end := slices.IndexFunc(list, func(d shardDigest) bool { return d.Group != group })
			if end < 0 {
				end = len(list)
			}
			groups[group] = append(groups[group], nodeDigests{node: node, index: list[0].Index, list: list[:end]})
			list = list[end:]
		}
	}
	for _, seen := range groups {
		slices.SortFunc(seen, func(a, b nodeDigests) int { return cmp.Compare(a.node, b.node) })
	}
	return groups
}

func namesOf(seen []nodeDigests) (names []string) {
	for _, n := range seen {
		names = append(names, n.node)
	}
	return names
}

// compare compares digests that are all of one index, and says whether they are.
func (r *clusterReport) compare(group int, seen []nodeDigests) bool {
	if len(seen) < 2 {
		return false
	}
	for _, n := range seen {
		if n.index != seen[0].index {
			return false
		}
	}
	r.Compared = append(r.Compared, comparedGroup{Group: group, Index: seen[0].index, Nodes: namesOf(seen)})
	for _, n := range seen[1:] {
		for i, d := range n.list {
			if i < len(seen[0].list) && d == seen[0].list[i] {
				continue
			}
			r.addf(n.node, group, verify.Replicas, "state", "its digest of shard %d at entry %d differs from that of node %s", d.Shard, n.index, seen[0].node)
			break
		}
	}
	return true
}
