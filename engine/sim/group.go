package sim

import (
	"github.com/cespare/xxhash/v2"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

// group is one Raft group, idealised: a log to which the leader of the newest
// term appends, and replicas that apply it at their own pace.
type group struct {
	w        *world
	id       int
	term     uint64
	leader   *leadership // of the newest term; it may be dead
	log      []record
	emitted  []string // ids of the records that the log emits
	facts    []fact   // what the first replica to apply an entry found
	replicas []*replica
	breach   uint64               // index of the entry that halts the group, 0 if none has
	through  map[[2]uint64]uint64 // how far lanes from other groups are applied
	moved    bool                 // a shard has left or come, or was about to
	tail     []*proposal          // on their way into the log, in order
}

// record is one record of the log. Without bytes it begins a term.
type record struct {
	by    *leadership
	bytes []byte
}

// fact is what applying an entry must give on every replica.
type fact struct {
	digest state.Digest
	output uint64
	time   state.Time
}

func newGroup(w *world, id int) *group {
	g := &group{w: w, id: id, through: map[[2]uint64]uint64{}}
	for i := range w.cfg.Replicas {
		r := &replica{g: g, id: i}
		g.replicas = append(g.replicas, r)
		r.start(snapshot{})
	}
	return g
}

// coreConfig is a core's configuration in this world.
func (w *world) coreConfig(group int) core.Config {
	return core.Config{Plan: w.plan, Codec: w.codec, Shards: w.cfg.Shards, Group: group, Groups: w.cfg.Groups,
		GroupOf: w.home, Incarnation: 1, Clock: w.cfg.Clock}
}

// elect makes a random living replica the leader of a new term. The old leader
// does not know yet.
func (g *group) elect() {
	var living []*replica
	for _, r := range g.replicas {
		if r.up {
			living = append(living, r)
		}
	}
	if len(living) == 0 {
		g.w.after(100*state.Millisecond, g.elect)
		return
	}
	r := living[g.w.rng.IntN(len(living))]
	if old := g.leader; old != nil {
		g.w.count("leader changed")
		if old.alive {
			g.w.count("deposed leader goes on")
			g.w.after(g.w.between(0, 2*state.Second), old.stop)
		}
	}
	if r.lead != nil {
		r.lead.stop()
	}
	g.keepTail()
	g.term++
	g.leader = newLeadership(r, g.term)
	r.lead = g.leader
	g.w.tracef("g%d r%d leads term %d", g.id, r.id, g.term)
	g.append(record{by: g.leader})
}

// append adds to the log and wakes the replicas.
func (g *group) append(rec record) {
	g.log = append(g.log, rec)
	for _, r := range g.replicas {
		r.wake()
	}
}

// fact compares what a replica found at an index with what others did.
func (g *group) fact(index int, f fact, out *core.Output) {
	if index > len(g.facts) {
		g.facts = append(g.facts, f)
		if out != nil {
			g.placed(out.Moved)
			for _, rec := range out.Records {
				g.emitted = append(g.emitted, rec.ID)
			}
		}
		return
	}
	want := g.facts[index-1]
	switch {
	case f.time != want.time:
		g.w.failf("V6: g%d: log time at index %d is %v on one replica, %v on another", g.id, index, f.time, want.time)
	case f.output != want.output:
		g.w.failf("V6: g%d: output of index %d differs between replicas", g.id, index)
	case f.digest != want.digest:
		g.w.failf("V6: g%d: digest at index %d is %v on one replica, %v on another", g.id, index, f.digest, want.digest)
	}
}

// outputHash is over what an entry emitted.
func outputHash(out *core.Output) uint64 {
	var h xxhash.Digest
	h.Reset()
	var buf []byte
	for _, rec := range out.Records {
		buf = append(append(buf[:0], rec.ID...), byte(rec.Shard), byte(rec.Outbox), byte(rec.Position))
		h.Write(buf)
	}
	for _, l := range out.Lanes {
		buf = append(append(buf[:0], l.Message.Key...), byte(l.From), byte(l.To), byte(l.Number))
		h.Write(buf)
	}
	for i := range out.Replies {
		h.WriteString(out.Replies[i].ID)
		h.WriteString(out.Replies[i].Outcome)
		h.WriteString(out.Replies[i].Answer)
	}
	return h.Sum64()
}

// proposal is an entry on its way into the log.
type proposal struct {
	by    *leadership
	bytes []byte
	items int
	kept  bool // it is in the log, though its leader was not told
}

// take appends a proposal to the log.
func (g *group) take(p *proposal) {
	g.w.report.Entries++
	g.w.tracef("g%d %d: %d items, %d bytes", g.id, len(g.log)+1, p.items, len(p.bytes))
	g.append(record{by: p.by, bytes: p.bytes})
}

// keepTail ends a term: of what its leader had on the way, any part from the
// front may be in the log of the next leader, and so is in the log of all.
func (g *group) keepTail() {
	keep := g.tail[:g.w.rng.IntN(len(g.tail)+1)]
	if g.w.off(Tails) {
		keep = nil
	}
	for range g.tail[len(keep):] {
		g.w.count("tail of a log lost")
	}
	for _, p := range keep {
		g.w.count("tail of a log kept")
		p.kept = true
		g.take(p)
	}
	g.tail = nil
}
