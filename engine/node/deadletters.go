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
	"anabranch.dev/operators"
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
	var after *operators.DeadLetter
	if f.After != "" {
		d, err := n.DeadLetter(ctx, f.After)
		if err != nil {
			return nil, fmt.Errorf("go on after dead letter %s: %w", f.After, err)
		}
		after = &d
	}
	for id, g := range n.groups {
		r, err := g.View(ctx, connectors.Linearizable)
		if err != nil {
			return nil, err
		}
		err = core.ListDeadLetters(r, n.shardsOf(id), func(d *operators.DeadLetter) bool {
			if (f.Code == "" || f.Code == d.Code) && (f.Type == "" || f.Type == d.Type) &&
				(after == nil || compareLetters(d, after) > 0) {
				found.add(d)
			}
			return ctx.Err() == nil
		})
		if err = errors.Join(err, r.Close(), ctx.Err()); err != nil {
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

// DeadLetter implements [connectors.Cluster].
func (n *Node) DeadLetter(ctx context.Context, id string) (operators.DeadLetter, error) {
	g, err := n.groupOfLetter(id)
	if err != nil {
		return operators.DeadLetter{}, err
	}
	r, err := g.View(ctx, connectors.Linearizable)
	if err != nil {
		return operators.DeadLetter{}, err
	}
	d, err := core.FindDeadLetter(r, id)
	if err = errors.Join(err, r.Close()); err != nil {
		return operators.DeadLetter{}, err
	}
	if d == nil {
		return operators.DeadLetter{}, connectors.ErrNotFound
	}
	return *d, nil
}

func (n *Node) groupOfLetter(id string) (*group.Group, error) {
	shard, ok := core.DeadLetterShard(id)
	if !ok || int(shard) >= n.cfg.Shards+n.cfg.Groups {
		return nil, connectors.ErrNotFound
	}
	return n.groups[n.groupOf(shard)], nil
}

// codeRecordGone refuses a redrive whose record the topic no longer has.
const codeRecordGone = "record_gone"

// Redrive implements [connectors.Cluster]: an event of a topic is read there
// again, anything else is in the dead letter itself.
func (n *Node) Redrive(ctx context.Context, id string) (connectors.Reply, error) {
	d, err := n.DeadLetter(ctx, id)
	if err != nil {
		return connectors.Reply{}, err
	}
	c := core.Control{Kind: core.ControlRedrive, DeadLetter: id}
	if d.External {
		c.Event, err = n.readAgain(ctx, &d)
		if errors.Is(err, connectors.ErrOutOfRange) || errors.Is(err, connectors.ErrTopicChanged) {
			return connectors.Reply{Outcome: core.OutcomeRefused, Code: codeRecordGone}, nil
		}
		if err != nil {
			return connectors.Reply{}, fmt.Errorf("redrive %s: %w", id, err)
		}
	}
	g, err := n.groupOfLetter(id)
	if err != nil {
		return connectors.Reply{}, err
	}
	return g.Control(ctx, c)
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
