package leader

import (
	"slices"

	"anabranch.dev/engine/core"
	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// shards takes in what an entry has changed about shards, before anything else
// of the entry: sources of one that is frozen are gone by the time the core
// refuses what they had on the way.
func (t *Tenure) shards(changes []core.ShardChange) {
	for i := range changes {
		switch ch := &changes[i]; ch.Change {
		case core.ShardFrozen:
			t.Intake.removeShard(ch.Shard)
			t.Proposer.leave(ch.Shard)
		case core.ShardThawed:
			delete(t.Proposer.away, ch.Shard)
			t.Lanes.again(ch.Shard)
		case core.ShardCame:
			delete(t.Proposer.away, ch.Shard)
			t.Delivery.shards[uint64(ch.Shard)] = &Outbox{Shard: uint64(ch.Shard), Acked: ch.Acked, End: ch.End}
		case core.ShardLeft:
			delete(t.Delivery.shards, uint64(ch.Shard))
			t.Proposer.leave(ch.Shard)
			t.Lanes.drop(ch.Shard)
		case core.ShardPlaced:
			t.Delivery.moved[uint64(ch.Shard)] = true
			t.Lanes.again(ch.Shard)
		}
	}
}

// removeShard stops reading the partitions of a shard.
func (in *Intake) removeShard(s state.Shard) {
	for i := len(in.sources) - 1; i >= 0 && !planted.Is("leader: sources of a frozen shard go on"); i-- {
		if p := in.sources[i].partition; core.PartitionShard(p, in.shards) == s {
			in.Remove(p)
		}
	}
}

// leave keeps messages for a shard out of the log, until the shard is served here
// again.
func (p *Proposer) leave(s state.Shard) {
	p.away[s] = true
	p.lanes.drop(func(l *core.Lane) bool { return state.Shard(l.To) == s })
}

// drop forgets the lanes of a shard that has left, with all acknowledged. It may
// come back with higher numbers.
func (l *Lanes) drop(from state.Shard) {
	l.lanes = slices.DeleteFunc(l.lanes, func(n *lane) bool { return n.from == from })
}

// again has everything for a shard sent at once: it belongs to another group
// now, which has been sent nothing yet, or is served here again. To groups that
// are not told of the latter, the next try is soon enough.
func (l *Lanes) again(to state.Shard) {
	for _, n := range l.lanes {
		if n.to == to {
			n.next = n.first
		}
	}
}

// pieceBytes is about what one piece of a shard takes: while it is applied,
// nothing else is.
const pieceBytes = 64 << 10

// Pieces cuts a shard's rows into what its new group takes in, in turn. All
// that is missing in the last one is in its end, which says what the rows come
// to.
func Pieces(m core.Move, c core.Departure, rows []state.StoredRow) []*core.Import {
	var all []*core.Import
	next := func() *core.Import {
		im := &core.Import{Shard: uint64(m.Shard), From: uint64(m.From), Move: m.Move, Version: m.Version, Number: uint64(len(all) + 1)}
		all = append(all, im)
		return im
	}
	im, size, end, piece := next(), 0, c.End, core.ImportEnd{}
	im.Holds = c.Holds
	for i := range rows {
		r := &rows[i]
		row := core.ImportRow{Stage: uint64(r.Cell.Stage), Key: r.Cell.Key, Table: uint64(r.Table), Row: r.Row, Expires: r.Expires, Value: r.Value}
		end.Count(&row)
		if size > pieceBytes {
			im, size, piece = next(), 0, core.ImportEnd{}
		}
		im.Rows = append(im.Rows, row)
		piece.Count(&row)
		im.Hi, im.Lo = piece.Hi, piece.Lo
		size += rowOverhead + len(row.Key) + len(row.Row) + len(row.Value)
	}
	next().Last = &end
	return all
}

const rowOverhead = 32

// Sweeps cuts the rows that a shard has left behind into what is deleted at a
// time.
func Sweeps(m core.Move, rows []state.StoredRow) []*core.Sweep {
	var all []*core.Sweep
	for len(all) == 0 || len(rows) > 0 {
		w := &core.Sweep{Shard: uint64(m.Shard), Move: m.Move}
		n := min(len(rows), sweepRows)
		for i := range rows[:n] {
			r := &rows[i]
			w.Rows = append(w.Rows, core.RowName{Stage: uint64(r.Cell.Stage), Key: r.Cell.Key, Table: uint64(r.Table), Row: r.Row})
		}
		rows, all = rows[n:], append(all, w)
	}
	all[len(all)-1].Last = true
	return all
}

const sweepRows = 500
