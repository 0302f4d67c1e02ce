package core

import (
	"slices"
	"strconv"

	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// watermarks are the event clocks of a group. A topic's watermark at depth 0 is
// the minimum over its partitions read here of the highest event time seen,
// less the lateness; at depth d + 1 it is the minimum of depth d over all
// groups. A group sends its watermarks to another only once every lane message
// put on a lane to it before has been applied there, so that a watermark never
// overtakes an event. They go forward, but for one case: partitions that come with
// a shard may be behind what the new group has told, and then its watermarks are
// lowered to theirs, here and in all other groups, before the shard is there.
type watermarks struct {
	topics []string                // input topics, sorted
	own    map[string]state.Time   // depth 0, by topic; goes back by [watermarks.hold] only
	got    map[markID]state.Time   // what other groups said
	least  map[string][]state.Time // by topic and depth, the least that other groups said of it or of a lower depth
	depth  int                     // greatest depth of any stage
	dirty  []string                // topics of own that changed in this entry
	out    map[int]*markOutRow     // what waits to be sent, by group
	told   map[int][]markEntry     // what a group was told last, to tell it only news
}

type markID struct {
	group int
	topic string
	depth int
}

// markOutRow is what a group will tell another once Left messages are applied.
type markOutRow struct {
	Index uint64      `v:"index"` // entry as of which it holds
	Left  uint64      `v:"left"`
	Marks []markEntry `v:"marks"`
}

type markEntry struct {
	Topic string     `v:"topic"`
	Depth int64      `v:"depth"`
	Time  state.Time `v:"time"`
}

// markToldRow is what another group was told last, of all topics and depths in
// the order in which [watermarks.prepare] lists them.
type markToldRow struct {
	Marks []markEntry `v:"marks"`
}

var (
	tabMarkOut  = table[markOutRow](stageGroup, "watermark-out")   // row: group
	tabMarkTold = table[markToldRow](stageGroup, "watermark-told") // row: group
)

func (w *watermarks) load(c *Core) {
	*w = watermarks{own: map[string]state.Time{}, got: map[markID]state.Time{}, least: map[string][]state.Time{},
		out: map[int]*markOutRow{}, told: map[int][]markEntry{}}
	for _, t := range c.plan.Topics {
		if t.Input {
			w.topics = append(w.topics, t.Alias)
		}
	}
	for _, s := range c.plan.Stages {
		w.depth = max(w.depth, s.Depth)
	}
	for _, t := range w.topics {
		if row, ok := c.groupCell.Get(tabMark, ownMark(t)).(*watermarkRow); ok {
			w.own[t] = row.Time
		}
		for g := range c.cfg.Groups {
			for d := range w.depth {
				id := markID{g, t, d}
				if row, ok := c.groupCell.Get(tabMark, id.row()).(*watermarkRow); ok {
					w.got[id] = row.Time
				}
			}
		}
		w.hear(c, t)
	}
	for g := range c.cfg.Groups {
		if row, ok := c.groupCell.Get(tabMarkOut, strconv.Itoa(g)).(*markOutRow); ok {
			w.out[g] = row
		}
		if row, ok := c.groupCell.Get(tabMarkTold, strconv.Itoa(g)).(*markToldRow); ok {
			w.told[g] = row.Marks
		}
	}
}

func ownMark(topic string) string { return "own/" + topic }

func (m markID) row() string {
	return strconv.Itoa(m.group) + "/" + strconv.Itoa(m.depth) + "/" + m.topic
}

// of is a stage's event clock.
func (w *watermarks) of(c *Core, s *topology.Stage) state.Time {
	if c.cfg.Clock == ClockReplay || len(s.Topics) == 0 {
		return c.group.LogTime
	}
	mark := state.Time(1<<63 - 1)
	for _, t := range s.Topics {
		mark = min(mark, w.at(c, t, s.Depth))
	}
	return mark
}

// at is a topic's watermark at a depth.
func (w *watermarks) at(c *Core, topic string, depth int) state.Time {
	mark := w.live(c, topic)
	if depth > 0 && c.cfg.Groups > 1 {
		mark = whole(mark)
	}
	if least := w.least[topic]; depth > 0 && len(least) > 0 {
		mark = min(mark, least[depth-1])
	}
	return mark
}

// hear takes what the other groups have said of a topic together.
func (w *watermarks) hear(c *Core, topic string) {
	if c.cfg.Groups == 1 {
		return
	}
	least, mark := make([]state.Time, w.depth), state.Time(1<<63-1)
	for d := range least {
		for g := range c.cfg.Groups {
			if g != c.cfg.Group {
				mark = min(mark, w.got[markID{g, topic, d}])
			}
		}
		least[d] = mark
	}
	w.least[topic] = least
}

// live is this group's own watermark of a topic now. It goes back only where own
// does.
func (w *watermarks) live(c *Core, topic string) state.Time {
	mark, reading := state.Time(0), false
	for _, p := range c.partitions {
		if p.row.Partition.Topic != topic || p.row.Idle {
			continue
		}
		if !reading || p.row.High < mark {
			mark, reading = p.row.High, true
		}
	}
	if !reading {
		mark = c.group.LogTime
	}
	mark -= c.cfg.Lateness
	for _, m := range c.moves { // a minimum: the order of the map does not matter
		for i := range m.Holds {
			if m.Phase == PhaseComing && m.Holds[i].Topic == topic {
				mark = min(mark, m.Holds[i].Time)
			}
		}
	}
	return max(mark, w.own[topic])
}

// whole cuts a watermark down to the second. Groups tell each other no less, so
// that two which were told the same by all have the same.
func whole(t state.Time) state.Time { return t - t%state.Second }

// most is the highest that this group's watermark of a topic can become as long
// as the partitions of a frozen shard are read no further; none of them holds it
// back if all are idle.
func (w *watermarks) most(c *Core, topic string, frozen state.Shard) (most state.Time, ok bool) {
	for _, p := range c.partitions {
		if p.shard == frozen && p.row.Partition.Topic == topic && !p.row.Idle && (!ok || p.row.High < most) {
			most, ok = p.row.High, true
		}
	}
	return max(most-c.cfg.Lateness, w.live(c, topic)), ok
}

// hold takes the watermarks of partitions that will be read here: this group's
// own go back to them. The others are told at once, by messages that can only
// lower what they know, and before the partitions come.
func (w *watermarks) hold(c *Core, holds []markEntry) {
	for _, h := range holds {
		w.keep(c, h.Topic)
		if w.own[h.Topic] > h.Time {
			w.own[h.Topic] = h.Time
			if !slices.Contains(w.dirty, h.Topic) {
				w.dirty = append(w.dirty, h.Topic)
			}
		}
	}
	for g := range c.cfg.Groups {
		if g == c.cfg.Group || len(holds) == 0 {
			continue
		}
		if w.out[g] != nil { // what it was about to be told may not hold any more
			w.dropOut(c, g)
		}
		w.forget(c, g)
		for _, h := range holds {
			w.tell(c, g, &Message{Key: h.Topic, Time: whole(h.Time), Deleted: true})
		}
	}
}

// release lets go of watermarks that were held; none goes back.
func (w *watermarks) release(c *Core, holds []markEntry) {
	for _, h := range holds {
		w.keep(c, h.Topic)
	}
}

// forget has a group be told everything again.
func (w *watermarks) forget(c *Core, g int) {
	delete(w.told, g)
	c.groupCell.Delete(tabMarkTold, strconv.Itoa(g))
}

// heeded says whether all other groups know what they were told.
func (w *watermarks) heeded(c *Core) bool {
	from := GroupShard(c.cfg.Shards, c.cfg.Group)
	for g := range c.cfg.Groups {
		if g != c.cfg.Group && c.laneDepth[lanePair{from, GroupShard(c.cfg.Shards, g)}] > 0 {
			return false
		}
	}
	return true
}

// reached says whether this group's watermarks are not behind others.
func (w *watermarks) reached(c *Core, marks []markEntry) bool {
	for _, m := range marks {
		if w.at(c, m.Topic, int(m.Depth)) < m.Time {
			return false
		}
	}
	return true
}

// keep remembers a topic's watermark as of now. It is called at points that the
// messages alone fix, before a partition's state changes what is live.
func (w *watermarks) keep(c *Core, topic string) {
	if mark := w.live(c, topic); mark > w.own[topic] {
		w.own[topic] = mark
		if !slices.Contains(w.dirty, topic) {
			w.dirty = append(w.dirty, topic)
		}
	}
}

// update ends an entry: what changed is stored, and told to other groups.
func (w *watermarks) update(c *Core) {
	for _, t := range w.dirty {
		c.groupCell.Set(tabMark, ownMark(t), &watermarkRow{Time: w.own[t]}, 0)
	}
	w.dirty = w.dirty[:0]
	if c.cfg.Groups == 1 || w.depth == 0 || c.cfg.Clock == ClockReplay {
		return
	}
	var all []markEntry
	for g := range c.cfg.Groups {
		if g == c.cfg.Group || w.out[g] != nil {
			continue
		}
		if all == nil {
			all = w.all(c)
		}
		w.prepare(c, g, all)
	}
}

// all lists this group's watermarks, as it tells them to other groups.
func (w *watermarks) all(c *Core) []markEntry {
	all := make([]markEntry, 0, len(w.topics)*w.depth)
	for _, t := range w.topics {
		live := whole(w.live(c, t))
		for d := range w.depth {
			if d > 0 {
				live = min(live, w.least[t][d-1])
			}
			all = append(all, markEntry{Topic: t, Depth: int64(d), Time: whole(live)})
		}
	}
	return all
}

// prepare fixes what to tell another group, if there is news of a second or
// more, and sends it when nothing is on the lanes to it.
func (w *watermarks) prepare(c *Core, g int, all []markEntry) {
	told, row := w.told[g], &markOutRow{Index: c.index}
	for n, m := range all {
		if n >= len(told) || told[n].Topic != m.Topic || told[n].Depth != m.Depth || told[n].Time < m.Time {
			row.Marks = append(row.Marks, m)
		}
	}
	if len(row.Marks) == 0 {
		return
	}
	w.told[g] = all
	c.groupCell.Set(tabMarkTold, strconv.Itoa(g), &markToldRow{Marks: all}, 0)
	for pair, depth := range c.laneDepth {
		if c.groupOf(pair.to) == g {
			row.Left += depth // a sum: the order of the map does not matter
		}
	}
	w.out[g] = row
	w.sendIfDrained(c, g)
}

func (w *watermarks) sendIfDrained(c *Core, g int) {
	row := w.out[g]
	if row.Left > 0 {
		c.groupCell.Set(tabMarkOut, strconv.Itoa(g), row, 0)
		return
	}
	w.dropOut(c, g)
	for _, m := range row.Marks {
		w.tell(c, g, &Message{Port: uint64(m.Depth), Key: m.Topic, Time: m.Time})
	}
}

func (w *watermarks) dropOut(c *Core, g int) {
	c.groupCell.Delete(tabMarkOut, strconv.Itoa(g))
	delete(w.out, g)
}

// tell sends a watermark to another group.
func (w *watermarks) tell(c *Core, g int, m *Message) {
	m.Kind, m.Depth = KindWatermark, uint64(c.cfg.Group)
	c.toLane(GroupShard(c.cfg.Shards, c.cfg.Group), GroupShard(c.cfg.Shards, g), m)
}

// acked counts a lane message to group g, put there by an entry, as applied.
func (w *watermarks) acked(c *Core, g int, index uint64) {
	row := w.out[g]
	if row == nil || index > row.Index || row.Left == 0 {
		return
	}
	next := *row
	next.Left--
	w.out[g] = &next
	w.sendIfDrained(c, g)
}

// recount counts anew what has to be acknowledged before groups are told: shards
// have moved between them.
func (w *watermarks) recount(c *Core) {
	for g := range c.cfg.Groups {
		row := w.out[g]
		if row == nil {
			continue
		}
		next := *row
		next.Left = 0
		for pair := range c.laneDepth { // a sum: the order of the map does not matter
			if c.groupOf(pair.to) == g {
				next.Left += c.laneUpTo(pair, row.Index)
			}
		}
		w.out[g] = &next
		w.sendIfDrained(c, g)
	}
}

// receive takes another group's watermark: Port is the depth, Depth the group,
// Key the topic.
func (w *watermarks) receive(c *Core, m *Message) {
	id := markID{int(m.Depth), m.Key, int(m.Port)}
	if got := w.got[id]; m.Deleted && m.Time < got || !m.Deleted && m.Time > got {
		w.got[id] = m.Time
		w.hear(c, m.Key)
		c.groupCell.Set(tabMark, id.row(), &watermarkRow{Time: m.Time}, 0)
	}
}
