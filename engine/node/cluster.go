package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Ask implements [connectors.Cluster]. A stale answer comes from this node's
// replica if it has one that votes.
func (n *Node) Ask(ctx context.Context, stage, query, key string, question state.Visitable, c connectors.Consistency) (state.Visitable, uint64, error) {
	port := n.cfg.Plan.Query(stage, query)
	if port == nil {
		return nil, 0, fmt.Errorf("stage %s answers no query %q", stage, query)
	}
	shard := state.ShardOf(key, n.cfg.Shards)
	if planted.Is("node: follower answers as the leader") {
		c = connectors.Stale
	}
	if g := n.group(n.groupOf(shard)); c == connectors.Stale && g != nil && g.VotesHere() {
		answer, index, err := g.Ask(ctx, stage, query, key, question, c)
		if !errors.Is(err, core.ErrElsewhere) {
			return answer, index, err
		}
	}
	q := &askRequest{Stage: stage, Query: query, Key: key, Consistency: string(c), Question: state.Nested{Value: question}}
	a, err := forwardTo(ctx, n, shard, callAsk, reads, q, func() (*askAnswer, error) { return n.askHere(ctx, q) })
	if err != nil {
		return nil, 0, err
	}
	answer := a.Answer.Value
	if answer == nil {
		answer = port.NewAnswer()
		if err := n.cfg.Codec.Decode(a.Answer.Raw, answer); err != nil {
			return nil, 0, fmt.Errorf("answer of %s/%s: %w", stage, query, err)
		}
	}
	return answer, a.Index, nil
}

// askHere answers with this node's replica, which must lead.
func (n *Node) askHere(ctx context.Context, q *askRequest) (*askAnswer, error) {
	question := q.Question.Value
	if question == nil {
		port := n.cfg.Plan.Query(q.Stage, q.Query)
		if port == nil {
			return nil, fmt.Errorf("stage %s answers no query %q", q.Stage, q.Query)
		}
		question = port.NewQuestion()
		if err := n.cfg.Codec.Decode(q.Question.Raw, question); err != nil {
			return nil, fmt.Errorf("question to %s/%s: %w", q.Stage, q.Query, err)
		}
	}
	a := &askAnswer{}
	return a, n.atLeader(n.groupOfKey(q.Key), func(g *group.Group) (err error) {
		a.Answer.Value, a.Index, err = g.Ask(ctx, q.Stage, q.Query, q.Key, question, connectors.Consistency(q.Consistency))
		return err
	})
}

// Submit implements [connectors.Cluster].
func (n *Node) Submit(ctx context.Context, e operators.Event, answer bool) (connectors.Reply, error) {
	q := &submitRequest{Event: e, Answer: answer}
	shard, err := n.shardOfEvent(&q.Event)
	if err != nil {
		return connectors.Reply{}, err
	}
	a, err := forwardTo(ctx, n, shard, callSubmit, writes, q, func() (*replyAnswer, error) { return n.submitHere(ctx, q) })
	return a.reply(), err
}

func (n *Node) submitHere(ctx context.Context, q *submitRequest) (*replyAnswer, error) {
	shard, err := n.shardOfEvent(&q.Event)
	if err != nil {
		return nil, err
	}
	var a replyAnswer
	return &a, n.atOwner(shard, func(g *group.Group) error {
		r, err := g.Submit(ctx, q.Event, q.Answer)
		if err == nil {
			err = elsewhere(r)
		}
		a = replyAnswer(r)
		return err
	})
}

// reply is the reply that a carries, if there is one.
func (a *replyAnswer) reply() connectors.Reply {
	if a == nil {
		return connectors.Reply{}
	}
	return connectors.Reply(*a)
}

// shardOfEvent is the shard of an event's primary key. What has none is
// dead-lettered by the first group.
func (n *Node) shardOfEvent(e *operators.Event) (state.Shard, error) {
	input := n.cfg.Plan.Input(e.Type)
	if input == nil || e.Reject != nil {
		return core.GroupShard(n.cfg.Shards, 0), nil
	}
	if e.Payload.Value == nil {
		v := input.Port.New()
		if err := n.cfg.Codec.Decode(e.Payload.Raw, v); err != nil {
			return 0, fmt.Errorf("event %s of %s: %w", e.ID, e.Source, err)
		}
		e.Payload.Value = v
	}
	return state.ShardOf(input.Key(e.Payload.Value), n.cfg.Shards), nil
}

// elsewhere is the error of what a group refused because the shard concerned is
// another's, or on its way there. Nothing was done.
func elsewhere(r connectors.Reply) error {
	if r.Outcome == core.OutcomeRefused && (r.Code == core.CodeOtherGroup || r.Code == core.CodeShardMoving) {
		return fmt.Errorf("%w: %s", core.ErrElsewhere, r.Code)
	}
	return nil
}

// FindDecision implements [connectors.Cluster].
func (n *Node) FindDecision(ctx context.Context, id string) (stage, key string, err error) {
	shard, _, ok := core.ParseDecisionID(id)
	if !ok || int(shard) >= n.cfg.Shards {
		return "", "", connectors.ErrNotFound
	}
	q := &idRequest{ID: id}
	a, err := forwardTo(ctx, n, shard, callFindDecision, reads, q, func() (*decisionAnswer, error) { return n.findDecisionHere(ctx, q) })
	if err != nil {
		return "", "", err
	}
	return a.Stage, a.Key, nil
}

func (n *Node) findDecisionHere(ctx context.Context, q *idRequest) (*decisionAnswer, error) {
	shard, _, ok := core.ParseDecisionID(q.ID)
	if !ok || int(shard) >= n.cfg.Shards {
		return nil, connectors.ErrNotFound
	}
	a := &decisionAnswer{}
	return a, n.atLeader(n.groupOf(shard), func(g *group.Group) (err error) {
		a.Stage, a.Key, err = g.FindDecision(ctx, q.ID)
		return err
	})
}

// Skip implements [connectors.Cluster].
func (n *Node) Skip(ctx context.Context, group int, index, message uint64) error {
	if err := n.checkGroup(group); err != nil {
		return err
	}
	q := &skipRequest{Group: uint64(group), Index: index, Message: message}
	_, err := forward(ctx, n, group, callSkip, writes, q, func() (*nothing, error) { return &nothing{}, n.skipHere(ctx, q) })
	return err
}

// skipHere asks the group itself whether it leads: one that is halted leads,
// but decides nothing.
func (n *Node) skipHere(ctx context.Context, q *skipRequest) error {
	if err := n.checkGroup(int(q.Group)); err != nil {
		return err
	}
	g := n.group(int(q.Group))
	if g == nil {
		return errNotLeader
	}
	return g.Skip(ctx, q.Index, q.Message)
}

// transferTimeout bounds a hand-over of which nobody said how long it may take.
const transferTimeout = 2 * time.Second

// Transfer implements [connectors.Cluster].
func (n *Node) Transfer(ctx context.Context, group int, node string) error {
	if err := n.checkGroup(group); err != nil {
		return err
	}
	id := n.dir.now()
	switch {
	case node == "":
	case id.member(node) == nil:
		return fmt.Errorf("%w: node %s is not a member", connectors.ErrNotFound, node)
	case !n.mayLead(node):
		return fmt.Errorf("node %s is %s: it may not lead", node, id.member(node).State)
	}
	q := &transferRequest{Group: uint64(group), Node: node}
	_, err := forward(ctx, n, group, callTransfer, writes, q, func() (*nothing, error) { return &nothing{}, n.transferHere(ctx, q) })
	return err
}

func (n *Node) transferHere(ctx context.Context, q *transferRequest) error {
	if err := n.checkGroup(int(q.Group)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	return n.atLeader(int(q.Group), func(g *group.Group) error {
		if q.Node == n.cfg.ID {
			return nil // it leads
		}
		if q.Node == "" {
			return n.giveUp(ctx, int(q.Group), g)
		}
		return g.Transfer(ctx, q.Node)
	})
}

func (n *Node) checkGroup(id int) error {
	if id < 0 || id >= n.cfg.Groups {
		return fmt.Errorf("%w: group %d", connectors.ErrNotFound, id)
	}
	return nil
}
