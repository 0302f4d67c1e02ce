package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/leader"
	"anabranch.dev/state"
)

const (
	// movePatience is how long a shard may be frozen, without another piece of it
	// taken, before its move is called off: nothing is decided for its keys
	// meanwhile.
	movePatience = 10 * time.Second
	// movePause is how often what a move waits for is looked at.
	movePause = 5 * time.Millisecond
	// goneSoon is how long the news of a shard that has arrived may take.
	goneSoon = 2 * time.Second
	// moveRetry is the pause before a step that failed is tried again.
	moveRetry = 100 * time.Millisecond
)

// mover brings the moves of the groups that are led here to their end: what is
// to be done is in the groups' rows, so that the leader that comes after goes on
// where this one has stopped.
type mover struct {
	n *Node

	mu   sync.Mutex // guards what follows
	busy map[part]bool
}

// part is a group's part in the move of a shard. The parts of two groups are
// driven side by side: one may wait for the other, such as a shard that comes
// straight back for what it left behind to be deleted.
type part struct {
	group int
	shard state.Shard
}

// run watches for moves until ctx ends.
func (m *mover) run(ctx context.Context) {
	var steps sync.WaitGroup
	defer steps.Wait()
	for {
		change := m.n.change()
		m.n.each(func(id int, g *group.Group) {
			if !g.Leading() {
				return
			}
			for _, mv := range g.Moves() {
				p := part{id, mv.Shard}
				if mv.Phase == core.PhaseComing || !m.begin(p) {
					continue
				}
				steps.Go(func() {
					defer m.end(p)
					m.drive(ctx, g, mv)
				})
			}
		})
		select {
		case <-ctx.Done():
			return
		case <-change:
		}
	}
}

// begin notes that a part is being driven; it reports false if it is.
func (m *mover) begin(p part) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[p] {
		return false
	}
	m.busy[p] = true
	return true
}

func (m *mover) end(p part) {
	m.mu.Lock()
	delete(m.busy, p)
	m.mu.Unlock()
	m.n.changed() // there may be the next thing to do about it
}

// drive does what is to be done about a shard in one of its groups, as long as
// the group is led here.
func (m *mover) drive(ctx context.Context, g *group.Group, mv core.Move) {
	p := newPatience()
	for ctx.Err() == nil && g.Leading() {
		var err error
		if mv.Phase == core.PhaseLeaving {
			err = m.sweep(ctx, g, mv)
		} else {
			err = m.hand(ctx, g, mv, p)
		}
		if err == nil {
			return
		}
		if !wait(ctx, moveRetry) {
			return
		}
		m.n.cfg.Log.Warn("move does not get on", "shard", mv.Shard, "phase", mv.Phase, "from", mv.From, "to", mv.To, "err", err)
	}
}

// errMoving: the move can't take its next step yet.
var errMoving = errors.New("not yet")

// hand hands a frozen shard to its new group, or has the move called off.
func (m *mover) hand(ctx context.Context, g *group.Group, mv core.Move, p *patience) error {
	err := m.handOver(ctx, g, mv, p)
	switch {
	case err == nil:
		m.n.cfg.Log.Info("shard moved", "shard", mv.Shard, "from", mv.From, "to", mv.To)
		return nil
	case ctx.Err() != nil, !g.Leading():
		return err
	}
	m.n.cfg.Log.Warn("move is called off", "shard", mv.Shard, "from", mv.From, "to", mv.To, "err", err)
	code, cancelErr := m.step(ctx, mv, &core.Import{Shard: uint64(mv.Shard), From: uint64(mv.From), Move: mv.Move, Version: mv.Version, Cancel: true})
	switch {
	case cancelErr != nil:
		return errors.Join(err, cancelErr)
	case code == core.CodeImportOver:
		return m.awaitGone(ctx, g, mv) // it was taken after all
	case code != "" && code != core.CodeImportBarred:
		return fmt.Errorf("%w: call off: %s", err, code)
	}
	_, err = g.Control(ctx, core.Control{Kind: core.ControlThaw, Shard: uint64(mv.Shard), Move: mv.Move})
	return err
}

// handOver sends the shard's rows to the new group, piece by piece.
func (m *mover) handOver(ctx context.Context, g *group.Group, mv core.Move, p *patience) error {
	s := pieces{to: mv.To, step: func(ctx context.Context, im *core.Import) (string, error) { return m.step(ctx, mv, im) }}
	var err error
	if s.all, err = m.read(ctx, g, mv, p); err != nil {
		return err
	}
	p.renew()
	if err = s.send(ctx, p); err != nil {
		return err
	}
	patient, cancel := p.bound(ctx)
	defer cancel()
	return m.awaitGone(patient, g, mv)
}

// read reads the pieces of a frozen shard, once its rows change no more.
func (m *mover) read(ctx context.Context, g *group.Group, mv core.Move, p *patience) ([]*core.Import, error) {
	patient, cancel := p.bound(ctx)
	defer cancel()
	if err := m.awaitDrained(patient, g, mv); err != nil {
		return nil, err
	}
	rows, err := g.Stored(patient, mv.Shard)
	if err != nil {
		return nil, err
	}
	d, err := g.Departure(mv.Shard)
	if err != nil {
		return nil, err
	}
	return leader.Pieces(mv, d, rows), nil
}

// awaitDrained waits until all that a frozen shard has said is acknowledged.
func (m *mover) awaitDrained(ctx context.Context, g *group.Group, mv core.Move) error {
	for {
		now, ok := moveOf(g, mv)
		switch {
		case !ok:
			return fmt.Errorf("%w: the move is over", errMoving)
		case now.Drained:
			return nil
		case !wait(ctx, movePause):
			return fmt.Errorf("%d records and %d messages of it are not acknowledged: %w", now.Records, now.Messages, ctx.Err())
		}
	}
}

// awaitGone waits until the old group has heard that its shard is gone, which it
// does on a lane. When it takes long it is told.
func (m *mover) awaitGone(ctx context.Context, g *group.Group, mv core.Move) error {
	soon, cancel := context.WithTimeout(ctx, goneSoon)
	defer cancel()
	for {
		if now, ok := moveOf(g, mv); !ok || now.Phase != core.PhaseFrozen {
			return nil
		}
		if !wait(soon, movePause) {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("group %d has it, and group %d has not heard: %w", mv.To, mv.From, err)
	}
	_, err := g.Control(ctx, core.Control{Kind: core.ControlPlaced, Shard: uint64(mv.Shard), Move: mv.Move})
	return err
}

// moveOf is a move as it is now, if it is still under way.
func moveOf(g *group.Group, mv core.Move) (core.Move, bool) {
	now, ok := g.MoveOf(mv.Shard)
	return now, ok && now.Move == mv.Move && now.Version == mv.Version
}

// step has the new group take a step.
func (m *mover) step(ctx context.Context, mv core.Move, im *core.Import) (code string, err error) {
	q := &importRequest{Group: uint64(mv.To), Import: *im}
	at := core.GroupShard(m.n.cfg.Shards, mv.To)
	a, err := carry(ctx, m.n, at, callImport, reads, q, func() (*replyAnswer, error) { return m.n.importHere(ctx, q) })
	if err != nil {
		return "", err
	}
	return a.Code, nil
}

// importHere takes a step of taking a shard in. The same step again does no harm.
func (n *Node) importHere(ctx context.Context, q *importRequest) (*replyAnswer, error) {
	if err := n.checkGroup(int(q.Group)); err != nil {
		return nil, err
	}
	var a replyAnswer
	return &a, n.atLeader(int(q.Group), func(g *group.Group) error {
		r, err := g.Import(ctx, &q.Import)
		a = replyAnswer(r)
		return err
	})
}

// sweep deletes the rows that a shard has left behind.
func (m *mover) sweep(ctx context.Context, g *group.Group, mv core.Move) error {
	rows, err := g.Stored(ctx, mv.Shard)
	if err != nil {
		return err
	}
	for _, w := range leader.Sweeps(mv, rows) {
		if _, err := g.Sweep(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// Move implements [connectors.Cluster].
func (n *Node) Move(ctx context.Context, shard, to int) error {
	if shard < 0 || shard >= n.cfg.Shards {
		return fmt.Errorf("%w: shard %d", connectors.ErrNotFound, shard)
	}
	if err := n.checkGroup(to); err != nil {
		return err
	}
	s := state.Shard(shard)
	if n.groupOf(s) == to {
		return nil
	}
	before := n.places.of(s)
	q := &moveRequest{Shard: uint64(shard), Group: uint64(to)}
	a, err := forwardTo(ctx, n, s, callMove, writes, q, func() (*replyAnswer, error) { return n.moveHere(ctx, q) })
	for err == nil && a.Code == core.CodeMovesFull && n.pause(ctx) { // until one of the others has arrived
		a, err = forwardTo(ctx, n, s, callMove, writes, q, func() (*replyAnswer, error) { return n.moveHere(ctx, q) })
	}
	switch {
	case errors.Is(err, connectors.ErrUnknown): // it may have begun
	case err != nil:
		return err
	case a.Code != "" && n.places.of(s).Version == before.Version:
		return fmt.Errorf("shard %d can't move: %s", shard, a.Code)
	}
	return n.awaitMoved(ctx, s, before)
}

// moveHere begins a move. One that must wait for others does so outside the log.
func (n *Node) moveHere(ctx context.Context, q *moveRequest) (*replyAnswer, error) {
	var a replyAnswer
	return &a, n.atLeader(n.groupOf(state.Shard(q.Shard)), func(g *group.Group) error {
		others := 0
		for _, mv := range g.Moves() {
			if mv.Phase == core.PhaseFrozen && mv.Shard != state.Shard(q.Shard) {
				others++
			}
		}
		if others >= core.MaxFrozen {
			a.Code = core.CodeMovesFull
			return nil
		}
		r, err := g.Control(ctx, core.Control{Kind: core.ControlMove, Shard: q.Shard, Group: q.Group})
		if r.Code == core.CodeOtherGroup {
			return core.ErrElsewhere
		}
		a.Code = r.Code
		return err
	})
}

// awaitMoved waits until a move is over, and says how it ended.
func (n *Node) awaitMoved(ctx context.Context, s state.Shard, before core.Placement) error {
	for {
		change := n.change()
		if n.places.of(s).Version > before.Version {
			return nil
		}
		switch moving, version, err := n.isMoving(ctx, s, before.Group); {
		case err != nil, moving: // later
		case version > before.Version:
			return nil // this node will hear of it
		default:
			return fmt.Errorf("%w: the move of shard %d did not begin, or was called off: see the log of the node that leads group %d", connectors.ErrUnavailable, s, before.Group)
		}
		t := time.NewTimer(moveRetry)
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%w: shard %d is still on the move: %w", connectors.ErrUnknown, s, ctx.Err())
		case <-change:
		case <-t.C:
		}
		t.Stop()
	}
}

// isMoving asks the old group whether a shard is on its way, and for the version
// of its place.
func (n *Node) isMoving(ctx context.Context, s state.Shard, from int) (moving bool, version uint64, err error) {
	q := &moveRequest{Shard: uint64(s), Group: uint64(from)}
	a, err := forward(ctx, n, from, callMoving, reads, q, func() (*replyAnswer, error) { return n.movingHere(ctx, q) })
	if err != nil {
		return false, 0, err
	}
	return a.Outcome == core.PhaseFrozen, a.Index, nil
}

func (n *Node) movingHere(ctx context.Context, q *moveRequest) (*replyAnswer, error) {
	if err := n.checkGroup(int(q.Group)); err != nil {
		return nil, err
	}
	a := &replyAnswer{}
	return a, n.atLeader(int(q.Group), func(g *group.Group) error {
		if err := g.Fresh(ctx, connectors.Linearizable); err != nil {
			return err
		}
		if mv, ok := g.MoveOf(state.Shard(q.Shard)); ok {
			a.Outcome = mv.Phase
		}
		a.Index = n.places.of(state.Shard(q.Shard)).Version
		return nil
	})
}
