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
// overtakes an event.
type watermarks struct {
	topics []string              // input topics, sorted
	own    map[string]state.Time // depth 0, by topic; never goes back
	got    map[markID]state.Time // what other groups said
	depth  int                   // greatest depth of any stage
	dirty  []string              // topics of own that changed in this entry
	out    map[int]*markOutRow   // what waits to be sent, by group
	sent   map[int]state.Time    // sum of what was sent last, to send only news
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

var tabMarkOut = table[markOutRow](stageGroup, "watermark-out") // row: group

func (w *watermarks) load(c *Core) {
	*w = watermarks{own: map[string]state.Time{}, got: map[markID]state.Time{}, out: map[int]*markOutRow{}, sent: map[int]state.Time{}}
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
	}
	for g := range c.cfg.Groups {
		if row, ok := c.groupCell.Get(tabMarkOut, strconv.Itoa(g)).(*markOutRow); ok {
			w.out[g] = row
		}
		if row, ok := c.groupCell.Get(tabMark, sentMark(g)).(*watermarkRow); ok {
			w.sent[g] = row.Time
		}
	}
}

func ownMark(topic string) string { return "own/" + topic }
func sentMark(group int) string   { return "sent/" + strconv.Itoa(group) }

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
	for d := 1; d <= depth && c.cfg.Groups > 1; d++ {
		for g := range c.cfg.Groups {
			if g != c.cfg.Group {
				mark = min(mark, w.got[markID{g, topic, d - 1}])
			}
		}
	}
	return mark
}

// live is this group's own watermark of a topic now. It never goes back.
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
	return max(mark-c.cfg.Lateness, w.own[topic])
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
	for g := range c.cfg.Groups {
		if g != c.cfg.Group && w.out[g] == nil {
			w.prepare(c, g)
		}
	}
}

// prepare fixes what to tell another group, if there is news of a second or
// more, and sends it when nothing is on the lanes to it.
func (w *watermarks) prepare(c *Core, g int) {
	row := &markOutRow{Index: c.index}
	var sum state.Time
	for _, t := range w.topics {
		for d := range w.depth {
			at := w.at(c, t, d)
			sum += at / state.Second
			row.Marks = append(row.Marks, markEntry{Topic: t, Depth: int64(d), Time: at})
		}
	}
	if sum <= w.sent[g] {
		return
	}
	w.sent[g] = sum
	c.groupCell.Set(tabMark, sentMark(g), &watermarkRow{Time: sum}, 0)
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
	c.groupCell.Delete(tabMarkOut, strconv.Itoa(g))
	delete(w.out, g)
	from, to := GroupShard(c.cfg.Shards, c.cfg.Group), GroupShard(c.cfg.Shards, g)
	for _, m := range row.Marks {
		c.toLane(from, to, &Message{Kind: KindWatermark, Port: uint64(m.Depth), Key: m.Topic, Time: m.Time,
			Depth: uint64(c.cfg.Group)})
	}
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

// receive takes another group's watermark: Port is the depth, Depth the group,
// Key the topic.
func (w *watermarks) receive(c *Core, m *Message) {
	id := markID{int(m.Depth), m.Key, int(m.Port)}
	if m.Time > w.got[id] {
		w.got[id] = m.Time
		c.groupCell.Set(tabMark, id.row(), &watermarkRow{Time: m.Time}, 0)
	}
}
