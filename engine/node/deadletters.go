package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

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
	id := n.groupOf(shard)
	err = n.atLeader(id, func(g *group.Group) error {
		r, err := g.View(ctx, connectors.Linearizable)
		if err != nil {
			return err
		}
		served, err := n.servedIn(r, id)
		switch {
		case err != nil:
		case !slices.Contains(served, shard): // a shard that was frozen may have gone on elsewhere
			err = fmt.Errorf("shard %d is on the move, or has moved: %w", shard, core.ErrElsewhere)
		default:
			d, err = core.FindDeadLetter(r, q.ID)
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
