package node

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/peer"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// defaultLetters is how many dead letters are listed if no limit is given.
const defaultLetters = 100

// compareLetters orders dead letters by when they were made.
func compareLetters(a, b *operators.DeadLetter) int {
	return cmp.Or(cmp.Compare(a.LogTime, b.LogTime), cmp.Compare(a.ID, b.ID))
}

// oldest keeps the oldest of many dead letters: a heap with the newest on top.
type oldest struct {
	letters []*operators.DeadLetter
	limit   int
}

func (o *oldest) Len() int           { return len(o.letters) }
func (o *oldest) Less(i, j int) bool { return compareLetters(o.letters[i], o.letters[j]) > 0 }
func (o *oldest) Swap(i, j int)      { o.letters[i], o.letters[j] = o.letters[j], o.letters[i] }
func (o *oldest) Push(x any)         { o.letters = append(o.letters, x.(*operators.DeadLetter)) }
func (o *oldest) Pop() any {
	last := o.letters[len(o.letters)-1]
	o.letters = o.letters[:len(o.letters)-1]
	return last
}

func (o *oldest) add(d *operators.DeadLetter) {
	heap.Push(o, d)
	if o.Len() > o.limit {
		heap.Pop(o)
	}
}

// DeadLetters implements [connectors.Cluster]. Each shard's are taken from the
// group that serves it, so that none is missing or listed twice while shards
// move. What is on the move is waited for, like a leader: nobody can say what has
// become of a shard's dead letters since it was frozen.
func (n *Node) DeadLetters(ctx context.Context, f connectors.DeadLetterFilter) ([]operators.DeadLetter, error) {
	found := &oldest{limit: f.Limit}
	if found.limit <= 0 {
		found.limit = defaultLetters
	}
	q := lettersRequest{Code: f.Code, Type: f.Type, Limit: int64(found.limit)}
	if f.After != "" {
		d, err := n.DeadLetter(ctx, f.After)
		if err != nil {
			return nil, fmt.Errorf("go on after dead letter %s: %w", f.After, err)
		}
		q.After = &operators.DeadLetter{ID: d.ID, LogTime: d.LogTime}
	}
	all := newShardSet(n.cfg.Shards + n.cfg.Groups)
	for s := range n.cfg.Shards + n.cfg.Groups {
		all.add(state.Shard(s))
	}
	q.Shards = all
	if err := n.collect(ctx, &q, found); err != nil {
		return nil, err
	}
	slices.SortFunc(found.letters, compareLetters)
	list := make([]operators.DeadLetter, len(found.letters))
	for i, d := range found.letters {
		list[i] = *d
	}
	return list, nil
}

// collect collects the oldest dead letters of all shards asked for, wherever they
// are.
func (n *Node) collect(ctx context.Context, q *lettersRequest, found *oldest) error {
	patient, cancel := context.WithTimeout(ctx, leaderPatience)
	defer cancel()
	rest := []*lettersRequest{q}
	for {
		var elsewhere []*lettersRequest
		for _, r := range rest {
			for _, part := range n.byGroup(r) {
				left, err := n.lettersOf(ctx, part, found)
				if err != nil {
					return err
				}
				elsewhere = append(elsewhere, left...)
			}
		}
		if len(elsewhere) == 0 {
			return nil
		}
		rest = elsewhere
		if s, _ := shardSet(rest[0].Shards).min(); !n.awaitPlace(patient, s) {
			return fmt.Errorf("%w: dead letters of shard %d: it is on the move", connectors.ErrUnavailable, s)
		}
	}
}

// byGroup divides a request among the groups that have its shards, as far as is
// known here.
func (n *Node) byGroup(q *lettersRequest) (parts []*lettersRequest) {
	shards := make([]shardSet, n.cfg.Groups)
	for s := range shardSet(q.Shards).all() {
		id := n.groupOf(s)
		if shards[id] == nil {
			shards[id] = newShardSet(n.cfg.Shards + n.cfg.Groups)
		}
		shards[id].add(s)
	}
	for id, set := range shards {
		if set != nil {
			part := *q
			part.Group, part.Shards = uint64(id), set
			parts = append(parts, &part)
		}
	}
	return parts
}

// lettersOf collects the oldest dead letters of shards of one group. What it
// does not serve, or no longer after some were collected, is left.
func (n *Node) lettersOf(ctx context.Context, q *lettersRequest, found *oldest) (left []*lettersRequest, err error) {
	for {
		a, err := forward(ctx, n, int(q.Group), callDeadLetters, reads, q, func() (*lettersAnswer, error) { return n.deadLettersHere(ctx, q) })
		if err != nil {
			return nil, err
		}
		rest := *q
		rest.Shards = shardSet(q.Shards).without(a.Shards)
		if _, ok := shardSet(rest.Shards).min(); ok {
			left = append(left, &rest)
		}
		for i := range a.Letters {
			found.add(&a.Letters[i])
		}
		if q.Limit -= int64(len(a.Letters)); !a.More || q.Limit <= 0 {
			return left, nil
		}
		q.Shards = a.Shards
		last := a.Letters[len(a.Letters)-1]
		q.After = &operators.DeadLetter{ID: last.ID, LogTime: last.LogTime}
	}
}

// maxLettersBytes bounds the dead letters in one answer to another node.
const maxLettersBytes = peer.MaxMessage / 2

// deadLettersHere lists the oldest dead letters of shards of a group that this
// node leads, as many as fit into an answer.
func (n *Node) deadLettersHere(ctx context.Context, q *lettersRequest) (*lettersAnswer, error) {
	id := int(q.Group)
	if err := n.checkGroup(id); err != nil {
		return nil, err
	}
	found, a := &oldest{limit: int(max(1, q.Limit))}, &lettersAnswer{}
	err := n.atLeader(id, func(g *group.Group) error {
		r, err := g.View(ctx, connectors.Linearizable)
		if err != nil {
			return err
		}
		served, err := n.servedIn(r, id)
		if err != nil {
			return errors.Join(err, r.Close())
		}
		asked, both := shardSet(q.Shards), newShardSet(n.cfg.Shards+n.cfg.Groups)
		served = slices.DeleteFunc(served, func(s state.Shard) bool { return !asked.has(s) })
		for _, s := range served {
			both.add(s)
		}
		a.Shards = both
		err = core.ListDeadLetters(r, served, func(d *operators.DeadLetter) bool {
			if (q.Code == "" || q.Code == d.Code) && (q.Type == "" || q.Type == d.Type) &&
				(q.After == nil || compareLetters(d, q.After) > 0) {
				found.add(d)
			}
			return ctx.Err() == nil
		})
		return errors.Join(err, r.Close(), ctx.Err())
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found.letters, compareLetters)
	size := 0
	for _, d := range found.letters {
		if size += n.cfg.Codec.Size(core.Level, d); size > maxLettersBytes && len(a.Letters) > 0 {
			a.More = true
			break
		}
		a.Letters = append(a.Letters, *d)
	}
	return a, nil
}
