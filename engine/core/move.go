package core

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"anabranch.dev/state"
)

// A shard moves from one group to another in steps, each an entry:
//
//   - The old group freezes it: nothing is applied to it any more, so that its
//     rows don't change once what it has said is acknowledged.
//   - The new group takes its rows in, a piece at a time (import.go). With the
//     last one the shard is its own, in the next version of the placement.
//   - It tells all groups on the lanes between group shards. The old one has its
//     copy of the rows deleted, piece by piece.
//
// Who drives this may die at any step: what is to be done next is in the rows. A
// move that does not get on is called off by the new group; only then the old one
// goes on with the shard.

// Phases of a shard's move, in the groups concerned.
const (
	PhaseFrozen  = "frozen"  // old group: nothing is applied to the shard
	PhaseComing  = "coming"  // new group: its rows come in
	PhaseLeaving = "leaving" // rows are left that are not this group's: to be deleted
)

// moveRow is a shard's move, as a row of the groups concerned.
type moveRow struct {
	Phase   string `v:"phase"`
	From    uint64 `v:"from"`
	To      uint64 `v:"to"`
	Move    uint64 `v:"move"`    // index, in the old group's log, of the entry that froze the shard
	Version uint64 `v:"version"` // of the placement that the move makes
	// Of a shard that is coming.
	Next  uint64      `v:"next"` // number of the next piece
	Rows  uint64      `v:"rows"` // taken in
	Hi    uint64      `v:"hi"`   // and their checksum
	Lo    uint64      `v:"lo"`
	Holds []markEntry `v:"holds"` // watermarks that the shard's partitions stand for until they are here
}

var tabMove = table[moveRow](stageGroup, "move") // row: shard

// ShardChange is what an entry has changed about a shard.
type ShardChange struct {
	Shard  state.Shard
	Change string
	// Of a shard that has come: how far its outbox goes and is acknowledged.
	Acked, End uint64
	// Of a shard that was placed.
	Group   int
	Version uint64
}

// Changes of a shard.
const (
	ShardFrozen  = "frozen"
	ShardThawed  = "thawed"
	ShardLeft    = "left"
	ShardCame    = "came"
	ShardRefused = "refused" // its move to this group was called off
	ShardPlaced  = "placed"  // it belongs to another group than before, of whichever
)

// Move is how far a shard's move is in this group.
type Move struct {
	Shard    state.Shard
	Phase    string
	From, To int
	Move     uint64
	Version  uint64
	Next     uint64 // coming: number of the next piece
	// Records and Messages of a frozen shard are those to Kafka and to others
	// that are not acknowledged.
	Records, Messages uint64
	// Drained: all that a frozen shard has said is acknowledged; its rows change
	// no more.
	Drained bool
}

// MaxFrozen is how many shards of a group may be frozen at a time.
const MaxFrozen = 8

// CodeMovesFull: as many shards of the group are on their way as may be; again,
// when one has arrived.
const CodeMovesFull = "moves_full"

// Moves lists the moves that this group has a part in, by shard.
func (c *Core) Moves() (list []Move) {
	for _, s := range slices.Sorted(maps.Keys(c.moves)) {
		mv, _ := c.MoveOf(s)
		list = append(list, mv)
	}
	return list
}

// MoveOf is the move of a shard that this group has a part in, if there is one.
func (c *Core) MoveOf(s state.Shard) (mv Move, ok bool) {
	m := c.moves[s]
	if m == nil {
		return Move{}, false
	}
	mv = Move{Shard: s, Phase: m.Phase, From: int(m.From), To: int(m.To), Move: m.Move, Version: m.Version, Next: m.Next}
	if m.Phase == PhaseFrozen {
		h := &c.outboxes[s].head
		mv.Records, mv.Messages = h.Next-1-h.Acked, c.laneFrom[s]
		mv.Drained = mv.Records+mv.Messages == 0
	}
	return mv, true
}

// frozen counts this group's shards that are on their way to others.
func (c *Core) frozen() (n int) {
	for _, m := range c.moves { // a sum: the order of the map does not matter
		if m.Phase == PhaseFrozen {
			n++
		}
	}
	return n
}

func (c *Core) setMove(s state.Shard, m moveRow) {
	c.moves[s] = &m
	stored := m
	c.groupCell.Set(tabMove, shardRow(s), &stored, 0)
}

func (c *Core) dropMove(s state.Shard) {
	delete(c.moves, s)
	c.groupCell.Delete(tabMove, shardRow(s))
}

// freeze begins to move a shard to another group.
func (c *Core) freeze(k *Control) (code string) {
	s := state.Shard(k.Shard)
	switch {
	case c.cfg.Clock == ClockReplay:
		return "clock_replay" // the merge of the inputs can't go on without one
	case k.Shard >= uint64(c.cfg.Shards):
		return "shard_unknown"
	case !c.owns(s):
		return CodeOtherGroup
	case k.Group >= uint64(c.cfg.Groups) || int(k.Group) == c.cfg.Group:
		return "group_invalid"
	case c.moves[s] != nil:
		return "move_running"
	case c.frozen() >= MaxFrozen:
		return CodeMovesFull
	}
	c.setMove(s, moveRow{Phase: PhaseFrozen, From: uint64(c.cfg.Group), To: k.Group, Move: c.index, Version: c.places[s].Version + 1})
	c.places[s].frozen = true
	c.lastPartition = nil
	c.conflated = slices.DeleteFunc(c.conflated, func(o state.Shard) bool { return o == s })
	c.out.Moved = append(c.out.Moved, ShardChange{Shard: s, Change: ShardFrozen})
	return ""
}

// thaw goes on with a shard whose move was called off.
func (c *Core) thaw(k *Control) (code string) {
	s := state.Shard(k.Shard)
	m := c.moves[s]
	if m == nil || m.Phase != PhaseFrozen || m.Move != k.Move {
		return "move_unknown"
	}
	c.dropMove(s)
	c.places[s].frozen = false
	c.wake(s)
	c.out.Moved = append(c.out.Moved, ShardChange{Shard: s, Change: ShardThawed})
	return ""
}

// letGo takes the driver's word for it that the new group has a frozen shard: in a
// cluster that was recovered, the message that says so may be lost.
func (c *Core) letGo(k *Control) (code string) {
	s := state.Shard(k.Shard)
	m := c.moves[s]
	if m == nil || m.Phase != PhaseFrozen || m.Move != k.Move {
		return "move_unknown"
	}
	c.placed(&Message{Port: k.Shard, Depth: m.To, Time: state.Time(m.Version)})
	return ""
}

// wake takes the timers and conflated records of a shard in.
func (c *Core) wake(s state.Shard) {
	c.dues.load(c, s)
	c.loadConflated(s)
	if len(c.conflated) > 0 && c.group.Conflate == 0 {
		c.group.Conflate = c.group.LogTime
	}
}

// placedMessage is a group's word that it has a shard.
func placedMessage(s state.Shard, group int, version uint64) *Message {
	return &Message{Kind: KindPlaced, Port: uint64(s), Depth: uint64(group), Time: state.Time(min(version, math.MaxInt64))}
}

// placed takes word of the new group that a shard has moved there.
func (c *Core) placed(m *Message) {
	s := state.Shard(m.Port)
	to, version := m.Depth, uint64(m.Time)
	if int(s) >= c.cfg.Shards || version <= c.places[s].Version {
		return
	}
	if m := c.moves[s]; m != nil && m.Phase == PhaseComing && m.Version <= version {
		c.callOff(s, &Import{Move: m.Move, Version: m.Version}) // it went elsewhere, in a life before
	}
	was, row := c.owns(s), c.places[s].placeRow
	row.Group, row.Version = to, version
	c.setPlace(s, row)
	if !was {
		return
	}
	c.forget(s)
	left := moveRow{Phase: PhaseLeaving, From: uint64(c.cfg.Group), To: to, Version: version}
	if old := c.moves[s]; old != nil {
		left.Move = old.Move
	}
	c.setMove(s, left)
	c.out.Moved = append(c.out.Moved, ShardChange{Shard: s, Change: ShardLeft})
}

// forget drops what the caches hold of a shard that has left.
func (c *Core) forget(s state.Shard) {
	c.places[s].frozen = false
	c.lastPartition = nil
	for _, p := range c.partitions {
		if p.shard == s {
			c.marks.keep(c, p.row.Partition.Topic)
			delete(c.byName, p.name)
		}
	}
	c.partitions = slices.DeleteFunc(c.partitions, func(p *partition) bool { return p.shard == s })
	c.deadLetters -= c.deadHead(s).Count
	c.outboxes[s] = shardOutbox{}
	c.dues.bounds[s] = 0
}

// Sweep deletes rows of a shard that is not this group's any more.
type Sweep struct {
	ID    string    `v:"id"` // for the reply
	Shard uint64    `v:"shard"`
	Move  uint64    `v:"move"`
	Rows  []RowName `v:"rows"`
	Last  bool      `v:"last"` // there are no others
}

// RowName names a stored row of a shard.
type RowName struct {
	Stage uint64 `v:"stage"`
	Key   string `v:"key"`
	Table uint64 `v:"table"`
	Row   string `v:"row"`
}

// applySweep deletes the rows named.
func (c *Core) applySweep(w *Sweep) {
	c.fireTimers()
	if c.begin() {
		return
	}
	r := Reply{Source: controlSource, ID: w.ID, Outcome: OutcomeApplied}
	if !c.sweep(w) {
		r.Outcome, r.Code = OutcomeRefused, "move_unknown"
	}
	c.reply(r)
}

func (c *Core) sweep(w *Sweep) bool {
	s := state.Shard(w.Shard)
	m := c.moves[s]
	if m == nil || m.Phase != PhaseLeaving || m.Move != w.Move {
		return false
	}
	for i := range w.Rows {
		r := &w.Rows[i]
		c.store.Remove(state.CellID{Shard: s, Stage: state.StageID(r.Stage), Key: r.Key}, state.TableID(r.Table), r.Row)
	}
	if w.Last {
		c.dropMove(s)
	}
	return true
}

// compareMoves orders moves of one shard: those of an earlier owner first.
func compareMoves(version, move, otherVersion, otherMove uint64) int {
	return cmp.Or(cmp.Compare(version, otherVersion), cmp.Compare(move, otherMove))
}
