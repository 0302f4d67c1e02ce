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

// DeadLetters implements [connectors.Cluster].
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
	for id := range n.cfg.Groups {
		part := q
		part.Group = uint64(id)
		if err := n.lettersOf(ctx, &part, found); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found.letters, compareLetters)
	list := make([]operators.DeadLetter, len(found.letters))
	for i, d := range found.letters {
		list[i] = *d
	}
	return list, nil
}

// lettersOf collects the oldest dead letters of one group.
func (n *Node) lettersOf(ctx context.Context, q *lettersRequest, found *oldest) error {
	for {
		a, err := forward(ctx, n, int(q.Group), callDeadLetters, reads, q, func() (*lettersAnswer, error) { return n.deadLettersHere(ctx, q) })
		if err != nil {
			return err
		}
		for i := range a.Letters {
			found.add(&a.Letters[i])
		}
		if q.Limit -= int64(len(a.Letters)); !a.More || q.Limit <= 0 {
			return nil
		}
		last := a.Letters[len(a.Letters)-1]
		q.After = &operators.DeadLetter{ID: last.ID, LogTime: last.LogTime}
	}
}

// maxLettersBytes bounds the dead letters in one answer to another node.
const maxLettersBytes = peer.MaxMessage / 2

// deadLettersHere lists the oldest dead letters of a group that this node
// leads, as many as fit into an answer.
func (n *Node) deadLettersHere(ctx context.Context, q *lettersRequest) (*lettersAnswer, error) {
	id := int(q.Group)
	if err := n.checkGroup(id); err != nil {
		return nil, err
	}
	found := &oldest{limit: int(max(1, q.Limit))}
	err := n.atLeader(id, func(g *group.Group) error {
		r, err := g.View(ctx, connectors.Linearizable)
		if err != nil {
			return err
		}
		err = core.ListDeadLetters(r, n.shardsOf(id), func(d *operators.DeadLetter) bool {
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
	a, size := &lettersAnswer{}, 0
	for _, d := range found.letters {
		if size += n.cfg.Codec.Size(core.Level, d); size > maxLettersBytes && len(a.Letters) > 0 {
			a.More = true
			break
		}
		a.Letters = append(a.Letters, *d)
	}
	return a, nil
}

// DeadLetter implements [connectors.Cluster].
func (n *Node) DeadLetter(ctx context.Context, id string) (operators.DeadLetter, error) {
	shard, err := n.shardOfLetter(id)
	if err != nil {
		return operators.DeadLetter{}, err
	}
	q := &idRequest{ID: id}
	a, err := forwardTo(ctx, n, shard, callDeadLetter, reads, q, func() (*lettersAnswer, error) { return n.deadLetterHere(ctx, q) })
	if err != nil {
		return operators.DeadLetter{}, err
	}
	return a.Letters[0], nil
}

// deadLetterHere answers with the one dead letter.
func (n *Node) deadLetterHere(ctx context.Context, q *idRequest) (*lettersAnswer, error) {
	shard, err := n.shardOfLetter(q.ID)
	if err != nil {
		return nil, err
	}
	var d *operators.DeadLetter
	err = n.atLeader(n.groupOf(shard), func(g *group.Group) error {
		r, err := g.View(ctx, connectors.Linearizable)
		if err != nil {
			return err
		}
		d, err = core.FindDeadLetter(r, q.ID)
		if d == nil && err == nil && !g.Serves(shard) {
			err = core.ErrElsewhere
		}
		return errors.Join(err, r.Close())
	})
	switch {
	case err != nil:
		return nil, err
	case d == nil:
		return nil, connectors.ErrNotFound
	}
	return &lettersAnswer{Letters: []operators.DeadLetter{*d}}, nil
}

// shardOfLetter says in which shard a dead letter is.
func (n *Node) shardOfLetter(id string) (state.Shard, error) {
	shard, ok := core.DeadLetterShard(id)
	if !ok || int(shard) >= n.cfg.Shards+n.cfg.Groups {
		return 0, connectors.ErrNotFound
	}
	return shard, nil
}

// codeRecordGone refuses a redrive whose record the topic no longer has.
const codeRecordGone = "record_gone"

// Redrive implements [connectors.Cluster]: an event of a topic is read there
// again, anything else is in the dead letter itself.
func (n *Node) Redrive(ctx context.Context, id string) (connectors.Reply, error) {
	shard, err := n.shardOfLetter(id)
	if err != nil {
		return connectors.Reply{}, err
	}
	q := &idRequest{ID: id}
	a, err := forwardTo(ctx, n, shard, callRedrive, writes, q, func() (*replyAnswer, error) { return n.redriveHere(ctx, q) })
	return a.reply(), err
}

func (n *Node) redriveHere(ctx context.Context, q *idRequest) (*replyAnswer, error) {
	found, err := n.deadLetterHere(ctx, q)
	if err != nil {
		return nil, err
	}
	d := &found.Letters[0]
	c := core.Control{Kind: core.ControlRedrive, DeadLetter: d.ID}
	if d.External {
		c.Event, err = n.readAgain(ctx, d)
		if errors.Is(err, connectors.ErrOutOfRange) || errors.Is(err, connectors.ErrTopicChanged) {
			return &replyAnswer{Outcome: core.OutcomeRefused, Code: codeRecordGone}, nil
		}
		if err != nil { // nothing was done
			return nil, fmt.Errorf("redrive %s: %w: %w", d.ID, connectors.ErrUnavailable, err)
		}
	}
	shard, err := n.shardOfLetter(d.ID)
	if err != nil {
		return nil, err
	}
	var a replyAnswer
	return &a, n.atOwner(shard, func(g *group.Group) error {
		r, err := g.Control(ctx, c)
		a = replyAnswer(r)
		if err == nil {
			err = elsewhere(r)
		}
		return err
	})
}

// readAgain reads the event of a dead letter from its topic.
func (n *Node) readAgain(ctx context.Context, d *operators.DeadLetter) (*operators.Event, error) {
	at := connectors.PartitionID{Topic: n.cfg.Topics[d.Cause.Topic], TopicID: d.TopicID, Partition: int32(d.Cause.Partition)}
	var record connectors.RawRecord
	err := n.inputs.lookUp(func(f connectors.Fetcher) (err error) {
		record, err = f.ReadOne(ctx, at, d.Cause.Offset)
		return err
	})
	if err != nil {
		return nil, err
	}
	var found *operators.Event
	index := int64(0)
	n.cfg.Decoder.Decode(d.Cause.Topic, &record, func(e operators.Event) {
		if index == d.Cause.Index {
			e.Offset, e.Index = record.Offset, index
			found = &e
		}
		index++
	})
	if found == nil {
		return nil, fmt.Errorf("%w: record %d of %s partition %d has no event %d", connectors.ErrNotFound, record.Offset, at.Topic, at.Partition, d.Cause.Index)
	}
	return found, nil
}
