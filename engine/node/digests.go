package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"anabranch.dev/engine/group"
	"anabranch.dev/engine/peer"
	"anabranch.dev/state"
)

const (
	digestTimeout = 2 * time.Second
	// digestPatience is how long digests may differ while too few voters answer
	// to tell which of them are right.
	digestPatience = 15 * time.Second
)

// compareDigests compares the digests of this node's replicas with those of the
// other voters, and stops a replica that is in the minority.
func (n *Node) compareDigests(ctx context.Context) {
	for _, s := range n.slots {
		if g := n.group(s.id); g != nil && g.Err() == nil && g.VotesHere() {
			s.compareDigests(ctx, g)
		}
	}
}

func (s *slot) compareDigests(ctx context.Context, g *group.Group) {
	own := s.replica()
	sums := map[string]map[uint64]state.Digest{own: {}}
	for _, d := range g.Digests() {
		sums[own][d.Index] = d.Sum
	}
	members, _ := g.Members()
	voters := 0
	var others []string
	for _, m := range members {
		if m.Voter {
			voters++
			if m.Replica != own {
				others = append(others, m.Replica)
			}
		}
	}
	if len(others) == 0 {
		return
	}
	s.n.fetchDigests(ctx, s.id, others, sums)
	v := judge(own, sums, voters)
	switch v.kind {
	case agreed:
		s.disputed = time.Time{}
		return
	case open:
		if s.disputed.IsZero() {
			s.disputed = time.Now()
		}
		if time.Since(s.disputed) < digestPatience {
			return
		}
	}
	why := "the majority of voters has another one"
	if v.kind != minority {
		s.mu.Lock()
		s.unclear = true
		s.mu.Unlock()
		why = fmt.Sprintf("no majority of the %d voters agrees on one", voters)
	}
	g.Damage(fmt.Errorf("digest at entry %d differs from that of %s%s: %s", v.index, strings.Join(v.others, ", "), s.firstDiffering(ctx, g, v), why))
}

// verdict is what comparing digests came to.
type verdict struct {
	kind   verdictKind
	index  uint64
	others []string // replicas that have another digest there
}

type verdictKind int

const (
	agreed    verdictKind = iota // or this replica is of the majority
	minority                     // a majority agrees on another digest
	undecided                    // all voters are heard, and no digest has a majority
	open                         // digests differ, and not all voters are heard
)

// judge compares a replica's digests, by index, with the others'. Of the indexes
// that tell something, the newest counts.
func judge(own string, sums map[string]map[uint64]state.Digest, voters int) verdict {
	best := verdict{kind: agreed}
	for _, index := range slices.Backward(slices.Sorted(maps.Keys(sums[own]))) {
		votes, heard := map[state.Digest]int{}, 0
		var others []string
		for _, replica := range slices.Sorted(maps.Keys(sums)) {
			sum, ok := sums[replica][index]
			if !ok {
				continue
			}
			heard++
			if votes[sum]++; sum != sums[own][index] {
				others = append(others, replica)
			}
		}
		if len(others) == 0 {
			if heard > voters/2 {
				break // all is well since then
			}
			continue
		}
		switch most := slices.Max(slices.Collect(maps.Values(votes))); {
		case votes[sums[own][index]] > voters/2:
			return best
		case most > voters/2:
			return verdict{minority, index, others}
		case heard >= voters:
			return verdict{undecided, index, others}
		case best.kind == agreed:
			best = verdict{open, index, others}
		}
	}
	return best
}

// fetchDigests asks the nodes of replicas for their digests' sums, side by
// side. One that does not answer, or has another replica, is left out.
func (n *Node) fetchDigests(ctx context.Context, id int, replicas []string, sums map[string]map[uint64]state.Digest) {
	ctx, cancel := context.WithTimeout(ctx, digestTimeout)
	defer cancel()
	var mu sync.Mutex // guards sums
	var asked sync.WaitGroup
	for _, replica := range replicas {
		asked.Go(func() {
			a, err := call[digestsAnswer](ctx, n, peer.NodeOf(replica), callDigests, &digestsRequest{Group: uint64(id)})
			if err != nil || a.Replica != replica {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			sums[replica] = map[uint64]state.Digest{}
			for _, d := range a.Sums {
				sums[replica][d.Index] = state.Digest{Hi: d.Hi, Lo: d.Lo}
			}
		})
	}
	asked.Wait()
}

// firstDiffering names the first shard in which this replica's digest differs,
// if the other one still knows.
func (s *slot) firstDiffering(ctx context.Context, g *group.Group, v verdict) string {
	var ours []state.ShardDigest
	for _, d := range g.Digests() {
		if d.Index == v.index {
			ours = d.Shards
		}
	}
	ctx, cancel := context.WithTimeout(ctx, digestTimeout)
	defer cancel()
	a, err := call[digestsAnswer](ctx, s.n, peer.NodeOf(v.others[0]), callDigests, &digestsRequest{Group: uint64(s.id), Index: v.index})
	if err != nil || a.Replica != v.others[0] {
		return ""
	}
	theirs := map[state.Shard]state.Digest{}
	for _, d := range a.Shards {
		theirs[state.Shard(d.Shard)] = state.Digest{Hi: d.Hi, Lo: d.Lo}
	}
	differs := map[state.Shard]bool{}
	for _, d := range ours {
		if d.Digest != theirs[d.Shard] {
			differs[d.Shard] = true
		}
		delete(theirs, d.Shard)
	}
	for shard := range theirs {
		differs[shard] = true
	}
	if len(differs) == 0 {
		return ""
	}
	return fmt.Sprintf(" in %d shards, first in shard %d", len(differs), slices.Min(slices.Collect(maps.Keys(differs))))
}

// digests answers another node that compares them.
func (n *Node) digests(q *digestsRequest) (*digestsAnswer, error) {
	g, err := n.groupAsked(q.Group)
	if err != nil {
		return nil, err
	}
	a := &digestsAnswer{Replica: n.slots[q.Group].replica()}
	for _, d := range g.Digests() {
		switch q.Index {
		case 0:
			a.Sums = append(a.Sums, digestSum{d.Index, d.Sum.Hi, d.Sum.Lo})
		case d.Index:
			for _, shard := range d.Shards {
				a.Shards = append(a.Shards, shardDigest{uint64(shard.Shard), shard.Digest.Hi, shard.Digest.Lo})
			}
		}
	}
	return a, nil
}
