package core

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// Inspect compares the core's own rows of one group with each other: outboxes and
// lanes are numbered without a gap behind what is acknowledged, every timer stands
// in its shard's index and nothing else does, every event that was applied has an
// outcome. shards are those that have rows. fault is told where something is
// wrong, and what; an error is the reader's.
func Inspect(cfg Config, r state.Reader, shards []state.Shard, fault func(place, what string)) error {
	n := &inspector{cfg: cfg, reader: r, report: fault, operators: map[state.StageID]bool{}, drained: true}
	for _, s := range cfg.Plan.Stages {
		n.operators[s.ID] = true
	}
	group, err := r.Get(state.CellID{Shard: GroupShard(cfg.Shards, cfg.Group), Stage: idGroup}, tabGroup, "")
	if err != nil {
		return err
	}
	if row, ok := group.(*groupRow); ok {
		n.group = *row
	} else if len(shards) > 0 {
		n.faultf("group %d has rows, and no row of its own", cfg.Group)
	}
	if err := n.readMoves(); err != nil {
		return err
	}
	for _, shard := range shards {
		if err := n.inspectShard(shard); err != nil {
			return err
		}
	}
	n.compareOutcomes()
	return nil
}

// inspector goes through a group's rows, shard by shard.
type inspector struct {
	cfg       Config
	reader    state.Reader
	report    func(place, what string)
	operators map[state.StageID]bool

	group     groupRow
	places    map[state.Shard]int  // of shards that have moved
	partial   map[state.Shard]bool // of which only some rows are here
	drained   bool                 // no lane has a message on it
	positions []*positionRow
	outcomes  []outcome

	// Of the shard at hand.
	shard    state.Shard
	outbox   numbered
	lane     numbered // of the lane at hand
	laneKey  string
	letters  deadHead // as the rows say
	lastDead string
	head     deadHead
	position uint64 // of the last record
	index    map[indexRow]bool
	wanted   map[indexRow]string // by whom
	others   map[state.CellID]uint64
	timers   map[state.CellID]uint64
}

// outcome is a counter and what it counts.
type outcome struct {
	origin string
	counterRow
}

// indexRow is a row in a shard's index of timers.
type indexRow struct{ index, row string }

func (n *inspector) faultf(format string, args ...any) {
	n.report(fmt.Sprintf("shard %d", n.shard), fmt.Sprintf(format, args...))
}

func (n *inspector) inspectShard(shard state.Shard) error {
	n.shard = shard
	n.outbox, n.lane, n.laneKey = numbered{what: "outbox"}, numbered{}, ""
	n.letters, n.lastDead, n.head, n.position = deadHead{}, "", deadHead{}, 0
	n.index, n.wanted = map[indexRow]bool{}, map[indexRow]string{}
	n.others, n.timers = map[state.CellID]uint64{}, map[state.CellID]uint64{}
	if n.partial[shard] {
		return nil
	}
	if !n.owns(shard) {
		n.faultf("has rows, and is not one of group %d's", n.cfg.Group)
		return nil
	}
	if err := n.reader.Rows(shard, n.row); err != nil {
		return err
	}
	n.lane.end(n)
	n.outbox.end(n)
	if n.head.Count != n.letters.Count {
		n.faultf("%d dead letters are counted, %d are there", n.head.Count, n.letters.Count)
	}
	n.compareTimers()
	return nil
}

func (n *inspector) owns(shard state.Shard) bool {
	if int(shard) >= n.cfg.Shards {
		return shard == GroupShard(n.cfg.Shards, n.cfg.Group)
	}
	if group, moved := n.places[shard]; moved {
		return group == n.cfg.Group
	}
	return n.cfg.GroupOf(shard) == n.cfg.Group
}

// readMoves reads which shards have moved, or are about to.
func (n *inspector) readMoves() error {
	n.places = map[state.Shard]int{}
	moved, err := ReadPlacements(n.reader, n.cfg.Shards, n.cfg.Group)
	for _, p := range moved {
		n.places[p.Shard] = p.Group
	}
	if err != nil {
		return err
	}
	n.partial, err = PartialShards(n.reader, n.cfg.Shards, n.cfg.Group)
	return err
}

// row takes the next row of the shard in.
func (n *inspector) row(id state.CellID, t *state.Table, row string, value state.Visitable) bool {
	if n.operators[id.Stage] && id.Key != broadcastKey && state.ShardOf(id.Key, n.cfg.Shards) != id.Shard {
		n.faultf("%s at %q belongs to shard %d", t, id.Key, state.ShardOf(id.Key, n.cfg.Shards))
	}
	switch v := value.(type) {
	case *operators.Record:
		n.record(row, v)
	case *outboxHead:
		n.outbox.next, n.outbox.acked = v.Next, v.Acked
	case *laneRow, *laneHead:
		n.onLane(id.Key, row, v)
	case *operators.DeadLetter:
		n.deadLetter(row, v)
	case *deadHead:
		n.head = *v
	case *registerRow:
		if next := v.next(); next != 0 {
			at := timerAt{shard: id.Shard, stage: id.Stage, key: id.Key}
			n.wanted[indexRow{"", at.dueKey(next)}] = fmt.Sprintf("register of %q", id.Key)
		}
		n.others[id] = v.Others
	case *timerRow:
		n.timer(id, row, v)
	case *dueRow:
		n.index[indexRow{id.Key, row}] = true
	case *positionRow:
		n.onPosition(id.Key, v)
	case *counterRow:
		n.outcomes = append(n.outcomes, outcome{row, *v})
	}
	return true
}

// record is one in the outbox.
func (n *inspector) record(row string, r *operators.Record) {
	number, ok := numberOf(row)
	if !ok || r.Outbox != number || r.Shard != uint64(n.shard) {
		n.faultf("outbox %x holds record %d of shard %d", row, r.Outbox, r.Shard)
	}
	if r.Position <= n.position || r.Position > n.group.Position || r.Time > n.group.LogTime {
		n.faultf("outbox %d: its position is %d and its time %s; the one before has position %d, the group is at %d and %s",
			number, r.Position, r.Time, n.position, n.group.Position, n.group.LogTime)
	}
	n.position = r.Position
	if v := newPayload(n.cfg.Plan, r); v != nil && r.Payload.Value == nil && n.cfg.Codec.Decode(r.Payload.Raw, v) != nil {
		n.faultf("outbox %d: payload of %s is not readable", number, r.Type)
	}
	n.outbox.add(n, number)
}

// onLane takes in a row of a lane; those of one lane come together.
func (n *inspector) onLane(to, row string, v state.Visitable) {
	if n.lane.what == "" || to != n.laneKey {
		n.lane.end(n)
		n.lane, n.laneKey = numbered{what: "lane to " + to}, to
	}
	switch v := v.(type) {
	case *laneHead:
		n.lane.next, n.lane.acked = v.Next, v.Acked
	case *laneRow:
		n.drained = false
		number, ok := numberOf(row)
		if !ok || v.Index > n.reader.Index() {
			n.faultf("lane to %s: %x is of entry %d, the state is at %d", to, row, v.Index, n.reader.Index())
		}
		n.lane.add(n, number)
	}
}

func (n *inspector) deadLetter(row string, d *operators.DeadLetter) {
	n.letters.Count++
	if shard, ok := DeadLetterShard(d.ID); d.ID != row || !ok || shard != n.shard || d.ID <= n.lastDead {
		n.faultf("dead letter %q is %q", row, d.ID)
	}
	n.lastDead = d.ID
}

func (n *inspector) onPosition(name string, p *positionRow) {
	if p.Partition.String() != name || n.cfg.shardOf(name) != n.shard || p.Next < 0 || p.Events < 0 || p.High > n.group.LogTime {
		n.faultf("position %q is of %s: next %d, %d events, highest time %s", name, &p.Partition, p.Next, p.Events, p.High)
	}
	n.positions = append(n.positions, p)
}

func (c *Config) shardOf(key string) state.Shard { return state.ShardOf(key, c.Shards) }

// timer is one with a row of its own.
func (n *inspector) timer(id state.CellID, row string, v *timerRow) {
	n.timers[id]++
	if len(row) < 4 {
		n.faultf("timer %x of %q has no port", row, id.Key)
		return
	}
	at := timerAt{shard: id.Shard, stage: id.Stage, port: binary.BigEndian.Uint32([]byte(row)), key: id.Key, id: row[4:]}
	port := n.cfg.Plan.Timer(at.port)
	if port == nil {
		return // of a stage that the topology no longer has
	}
	index := ""
	if port.Clock == operators.EventClock {
		index = port.Stage
	}
	n.wanted[indexRow{index, at.dueKey(v.Due)}] = fmt.Sprintf("timer %s %q of %q", port.Name, at.id, id.Key)
}

// compareTimers compares the index with the timers, both ways.
func (n *inspector) compareTimers() {
	byRow := func(a, b indexRow) int { return slices.Compare([]string{a.index, a.row}, []string{b.index, b.row}) }
	for _, want := range slices.SortedFunc(maps.Keys(n.wanted), byRow) {
		if !n.index[want] {
			n.faultf("%s is not in the index of timers, for %s", n.wanted[want], dueOf(want.row))
		}
		delete(n.index, want)
	}
	for _, extra := range slices.SortedFunc(maps.Keys(n.index), byRow) {
		if len(extra.row) < 17 {
			n.faultf("index of timers: row %x", extra.row)
			continue
		}
		at, due := parseDue(n.shard, extra.row)
		if at.port != portExpiry && n.cfg.Plan.Timer(at.port) == nil {
			continue
		}
		n.faultf("index of timers names %q for %s, which has none then", at.key, due)
	}
	byCell := func(a, b state.CellID) int { return slices.Compare([]string{a.Key}, []string{b.Key}) }
	for _, id := range slices.SortedFunc(maps.Keys(n.timers), byCell) {
		if _, ok := n.others[id]; !ok {
			n.faultf("%q has %d timers, and no register", id.Key, n.timers[id])
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(n.others), byCell) {
		if n.others[id] != n.timers[id] {
			n.faultf("register of %q counts %d timers with rows of their own, %d are there", id.Key, n.others[id], n.timers[id])
		}
	}
}

// compareOutcomes checks that every event of a partition was applied, known
// already or dead-lettered. With several groups each knows a part.
func (n *inspector) compareOutcomes() {
	if n.cfg.Groups != 1 || !n.drained {
		return
	}
	for _, p := range n.positions {
		name := p.Partition.String()
		i := slices.IndexFunc(n.outcomes, func(o outcome) bool { return o.origin == name })
		var o counterRow
		if i >= 0 {
			o = n.outcomes[i].counterRow
		}
		if sum := o.Applied + o.Duplicates + o.DeadLetters; sum != p.Events {
			n.report(name, fmt.Sprintf("%d events, but %d applied + %d duplicates + %d dead letters = %d",
				p.Events, o.Applied, o.Duplicates, o.DeadLetters, sum))
		}
	}
}

// numbered is an outbox or a lane: numbers without a gap, from the one after
// what is acknowledged.
type numbered struct {
	what        string
	next, acked uint64
	first, last uint64 // that are there, 0 if none
}

func (q *numbered) add(n *inspector, number uint64) {
	switch {
	case q.first == 0:
		q.first = number
	case number != q.last+1:
		n.faultf("%s: number %d follows %d", q.what, number, q.last)
	}
	q.last = number
}

// end compares the numbers with the head.
func (q *numbered) end(n *inspector) {
	head := q.next != 0 || q.acked != 0
	switch {
	case !head && q.first == 0:
	case !head:
		n.faultf("%s: numbers %d to %d are there, and no head", q.what, q.first, q.last)
	case q.acked >= q.next:
		n.faultf("%s: acknowledged up to %d, the next number is %d", q.what, q.acked, q.next)
	case q.first == 0 && q.next > q.acked+1, q.first != 0 && (q.first != q.acked+1 || q.last+1 != q.next):
		n.faultf("%s: numbers %d to %d should be there, %d to %d are", q.what, q.acked+1, q.next-1, q.first, q.last)
	}
}

// numberOf undoes number8.
func numberOf(row string) (uint64, bool) {
	if len(row) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64([]byte(row)), true
}
