package core

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"anabranch.dev/state"
)

// Import is a step of taking in a shard of another group. Its pieces come in
// turn; the first has number 1.
type Import struct {
	ID      string      `v:"id"` // for the reply
	Shard   uint64      `v:"shard"`
	From    uint64      `v:"from"` // group
	Move    uint64      `v:"move"`
	Version uint64      `v:"version"`
	Number  uint64      `v:"number"`
	Rows    []ImportRow `v:"rows"`
	Hi      uint64      `v:"hi"` // checksum of the rows
	Lo      uint64      `v:"lo"`
	Holds   []markEntry `v:"holds"` // with the first: the old group's watermarks of the shard's topics
	Last    *ImportEnd  `v:"last"`  // instead of rows: there are no more
	Cancel  bool        `v:"cancel"`
}

// ImportRow is a row as it is stored.
type ImportRow struct {
	Stage   uint64     `v:"stage"`
	Key     string     `v:"key"`
	Table   uint64     `v:"table"`
	Row     string     `v:"row"`
	Expires state.Time `v:"expires"`
	Value   []byte     `v:"value"`
}

// ImportEnd says what all pieces come to, and how far the new group must be: it
// may not be behind anything that the shard has seen.
type ImportEnd struct {
	Rows    uint64      `v:"rows"`
	Hi      uint64      `v:"hi"`
	Lo      uint64      `v:"lo"`
	LogTime state.Time  `v:"log_time"`
	Heard   []heardFrom `v:"heard"`
	Marks   []markEntry `v:"marks"`
}

// heardFrom is how many broadcast rows of a shard a group has taken in.
type heardFrom struct {
	Shard  uint64 `v:"shard"`
	Number uint64 `v:"number"`
}

// Codes of an import that is refused.
const (
	CodeNotYet       = "not_yet"        // the group is behind the old one; the same again, soon
	CodeImportNumber = "import_number"  // another piece is next: see [Core.Moves]
	CodeImportBarred = "import_barred"  // it was called off
	CodeImportOver   = "import_over"    // the shard is here already
	CodeImportBad    = "import_damaged" // its rows are not what was sent
)

// hash is what a row adds to the checksum of an import.
func (r *ImportRow) hash() state.Digest {
	b := make([]byte, 0, 64+len(r.Key)+len(r.Row)+len(r.Value))
	for _, n := range []uint64{r.Stage, r.Table, uint64(r.Expires), uint64(len(r.Key)), uint64(len(r.Row))} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = append(append(append(b, r.Key...), r.Row...), r.Value...)
	sum := xxh3.Hash128(b)
	return state.Digest{Hi: sum.Hi, Lo: sum.Lo}
}

// Count adds a row to what all pieces come to.
func (e *ImportEnd) Count(r *ImportRow) {
	sum := state.Digest{Hi: e.Hi, Lo: e.Lo}.Add(r.hash())
	e.Rows, e.Hi, e.Lo = e.Rows+1, sum.Hi, sum.Lo
}

// Departure is what the new group of a shard must know: the watermarks that the
// shard's partitions hold back, and how far the group must be itself.
type Departure struct {
	Holds []markEntry
	End   ImportEnd // but for the rows
}

// Departure is that of a frozen shard.
func (c *Core) Departure(s state.Shard) (d Departure) {
	for _, t := range c.marks.topics {
		if hold, ok := c.marks.most(c, t, s); ok {
			d.Holds = append(d.Holds, markEntry{Topic: t, Time: hold})
		}
		for depth := 1; depth <= c.marks.depth; depth++ {
			d.End.Marks = append(d.End.Marks, markEntry{Topic: t, Depth: int64(depth), Time: c.marks.at(c, t, depth)})
		}
	}
	d.End.LogTime, d.End.Heard = c.group.LogTime, c.heardAll()
	return d
}

// applyImport takes the next step of taking in a shard.
func (c *Core) applyImport(im *Import) {
	c.fireTimers()
	if c.begin() {
		return
	}
	r := Reply{Source: controlSource, ID: im.ID, Outcome: OutcomeApplied}
	if r.Code = c.takeIn(im); r.Code != "" {
		r.Outcome = OutcomeRefused
	}
	c.reply(r)
}

func (c *Core) takeIn(im *Import) (code string) {
	s := state.Shard(im.Shard)
	if im.Shard >= uint64(c.cfg.Shards) || c.cfg.Clock == ClockReplay {
		return "shard_unknown"
	}
	at, m := &c.places[s], c.moves[s]
	switch {
	case im.Version <= at.Version:
		return CodeImportOver
	case compareMoves(im.Version, im.Move, at.BarredVersion, at.BarredMove) <= 0:
		return CodeImportBarred
	case im.Cancel:
		return c.callOff(s, im)
	case c.owns(s) || m != nil && m.Phase == PhaseLeaving:
		return CodeNotYet // rows of an earlier time are still here
	}
	if m != nil && compareMoves(im.Version, im.Move, m.Version, m.Move) < 0 {
		return CodeImportBarred // there is a later one
	}
	same := m != nil && m.Move == im.Move && m.Version == im.Version
	switch {
	case m != nil && !same: // of an earlier one: its rows must go first
		c.callOff(s, &Import{Move: m.Move, Version: m.Version})
		return CodeNotYet
	case m == nil && im.Number == 1:
		c.expect(s, im)
	case !same || im.Number != m.Next:
		return CodeImportNumber
	}
	if im.Last != nil {
		return c.arrive(s, im.Last)
	}
	return c.takeRows(s, im)
}

// expect begins to take a shard in. Until it is here, this group stands for the
// watermarks of its partitions too: they go back to where the old group has
// them, in all groups, which is not before what any of them has seen.
func (c *Core) expect(s state.Shard, im *Import) {
	c.setMove(s, moveRow{Phase: PhaseComing, From: im.From, To: uint64(c.cfg.Group), Move: im.Move, Version: im.Version, Next: 1, Holds: im.Holds})
	c.marks.hold(c, im.Holds)
}

// callOff ends a move, and all before it, for good: no piece of it is taken any
// more, whatever there is of the shard here. What was taken in is deleted; rows
// of a time when the shard was this group's are not touched.
func (c *Core) callOff(s state.Shard, im *Import) (code string) {
	m := c.moves[s]
	coming := m != nil && m.Phase == PhaseComing
	if coming && compareMoves(im.Version, im.Move, m.Version, m.Move) < 0 {
		return CodeImportBarred // there is a later one, which goes on
	}
	row := c.places[s].placeRow
	row.BarredVersion, row.BarredMove = im.Version, im.Move
	c.places[s].placeRow = row
	c.groupCell.Set(tabPlace, shardRow(s), &row, 0)
	if !coming {
		return ""
	}
	c.marks.release(c, m.Holds)
	c.out.Moved = append(c.out.Moved, ShardChange{Shard: s, Change: ShardRefused})
	c.setMove(s, moveRow{Phase: PhaseLeaving, From: m.From, To: m.To, Move: m.Move, Version: m.Version})
	return ""
}

// takeRows stores a piece, byte for byte: what becomes of it does not depend on
// which tables this build knows.
func (c *Core) takeRows(s state.Shard, im *Import) (code string) {
	var piece ImportEnd
	for i := range im.Rows {
		piece.Count(&im.Rows[i])
	}
	if piece.Hi != im.Hi || piece.Lo != im.Lo {
		return CodeImportBad
	}
	for i := range im.Rows {
		r := &im.Rows[i]
		c.store.Put(state.StoredRow{Cell: state.CellID{Shard: s, Stage: state.StageID(r.Stage), Key: r.Key},
			Table: state.TableID(r.Table), Row: r.Row, Expires: r.Expires, Value: r.Value})
	}
	m := *c.moves[s]
	sum := state.Digest{Hi: m.Hi, Lo: m.Lo}.Add(state.Digest{Hi: piece.Hi, Lo: piece.Lo})
	m.Next, m.Rows, m.Hi, m.Lo = m.Next+1, m.Rows+piece.Rows, sum.Hi, sum.Lo
	c.setMove(s, m)
	return ""
}

// arrive makes the shard this group's, once it is whole and nothing here is
// behind what the shard has seen, and tells all groups.
func (c *Core) arrive(s state.Shard, end *ImportEnd) (code string) {
	m := *c.moves[s]
	switch {
	case m.Rows != end.Rows || m.Hi != end.Hi || m.Lo != end.Lo:
		return CodeImportBad
	case end.LogTime > c.group.LogTime || !c.hasHeard(end.Heard) || !c.marks.reached(c, end.Marks) || !c.marks.heeded(c):
		return CodeNotYet
	}
	row := c.places[s].placeRow
	row.Group, row.Version = uint64(c.cfg.Group), m.Version
	c.marks.release(c, m.Holds)
	c.dropMove(s)
	c.setPlace(s, row)
	c.loadPartitions(s)
	c.loadOutbox(s)
	c.deadLetters += c.deadHead(s).Count
	c.wake(s)
	h := &c.outboxes[s].head
	c.out.Moved = append(c.out.Moved, ShardChange{Shard: s, Change: ShardCame, Acked: h.Acked, End: h.Next - 1})
	for g := range c.cfg.Groups {
		if g != c.cfg.Group {
			c.toLane(GroupShard(c.cfg.Shards, c.cfg.Group), GroupShard(c.cfg.Shards, g),
				placedMessage(s, c.cfg.Group, m.Version))
		}
	}
	return ""
}
