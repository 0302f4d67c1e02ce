package sim

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
	"anabranch.dev/state/memstate"
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
	shards   []state.Shard
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

// replica is a group's copy on a node.
type replica struct {
	g         *group
	id        int
	up        bool
	life      int // counts restarts: what was meant for an earlier life is dropped
	core      *core.Core
	store     *memstate.Store
	applied   int
	busy      bool       // an apply step is in the queue
	stalled   state.Time // applies nothing until then
	skew      state.Time // of its clock
	snapshots []snapshot
	lead      *leadership // its last leadership in this life
}

type snapshot struct {
	index int
	store *memstate.Store
}

func newGroup(w *world, id int) *group {
	g := &group{w: w, id: id}
	for s := range w.cfg.Shards {
		if w.groupOf(state.Shard(s)) == id {
			g.shards = append(g.shards, state.Shard(s))
		}
	}
	g.shards = append(g.shards, core.GroupShard(w.cfg.Shards, id))
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
		GroupOf: w.groupOf, Incarnation: 1, Clock: w.cfg.Clock}
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

// start brings a replica up from a snapshot.
func (r *replica) start(from snapshot) {
	w := r.g.w
	r.up, r.busy = true, false
	r.skew = w.between(-2*state.Second, 2*state.Second)
	r.applied = from.index
	if again := w.rng.IntN(6); again > 0 && again <= from.index {
		w.count("log replayed over a newer store")
		r.applied -= again
	}
	if from.store == nil {
		r.store = memstate.New(w.tables, w.codec)
	} else {
		store, err := from.store.Reopen(w.tables)
		if err != nil {
			w.failf("g%d r%d: reopen snapshot at %d: %w", r.g.id, r.id, from.index, err)
			return
		}
		r.store = store
	}
	c, err := core.New(w.coreConfig(r.g.id), r.store)
	if err != nil {
		w.failf("g%d r%d: %w", r.g.id, r.id, err)
		return
	}
	r.core = c
	r.wake()
}

// crash takes a replica down; what was in memory is gone.
func (r *replica) crash() {
	w := r.g.w
	w.count("crash")
	w.tracef("g%d r%d crashes at %d", r.g.id, r.id, r.applied)
	if r.lead != nil {
		r.lead.stop()
		if r.g.leader == r.lead {
			w.count("leader crashed")
			w.after(w.between(200*state.Millisecond, state.Second), r.g.elect)
		}
	}
	r.up, r.core, r.store, r.lead = false, nil, nil, nil
	r.life++
	w.after(w.between(50*state.Millisecond, 3*state.Second), r.restart)
}

// restart brings a crashed replica up from any snapshot it has, or from none.
func (r *replica) restart() {
	if r.up {
		return
	}
	w := r.g.w
	from := snapshot{}
	if n := w.rng.IntN(len(r.snapshots) + 1); n < len(r.snapshots) {
		from = r.snapshots[n]
		w.count("restart from snapshot")
	} else {
		w.count("restart from nothing")
	}
	w.tracef("g%d r%d restarts at %d", r.g.id, r.id, from.index)
	r.start(from)
}

// wake makes sure that the replica goes on applying.
func (r *replica) wake() {
	if !r.up || r.busy || r.applied >= len(r.g.log) {
		return
	}
	w := r.g.w
	delay := w.between(20, 2*state.Millisecond)
	if r.stalled > w.now {
		delay += r.stalled - w.now
	}
	r.busy = true
	life := r.life
	w.after(delay, func() {
		if r.life != life {
			return
		}
		r.busy = false
		for n := 1 + w.rng.IntN(8); n > 0 && r.up && r.applied < len(r.g.log); n-- {
			r.applyNext()
		}
		r.wake()
	})
}

// applyNext applies the next record.
func (r *replica) applyNext() {
	g, w := r.g, r.g.w
	rec := g.log[r.applied]
	r.applied++
	if rec.bytes == nil {
		g.fact(r.applied, fact{}, nil)
		if rec.by == r.lead && rec.by.alive {
			rec.by.begin()
		}
		return
	}
	e := new(core.Entry)
	if err := w.codec.Decode(rec.bytes, e); err != nil {
		w.failf("g%d: entry %d: %w", g.id, r.applied, err)
		return
	}
	if uint64(r.applied) <= r.store.Applied() {
		r.replayed(e)
		return
	}
	before := r.core.LogTime()
	out := r.core.Apply(uint64(r.applied), e)
	if out.Halt != nil {
		w.failf("g%d r%d: halted at entry %d message %d: %s", g.id, r.id, out.Halt.Index, out.Halt.Message, out.Halt.Code)
		return
	}
	if out.Time < before {
		w.failf("V7: g%d r%d: log time went back from %v to %v at %d", g.id, r.id, before, out.Time, r.applied)
	}
	g.fact(r.applied, fact{digest: r.digest(), output: outputHash(out), time: out.Time}, out)
	if w.rng.IntN(30) == 0 {
		r.snapshot()
	}
	if l := r.lead; l != nil && l.alive && l.tenure != nil {
		l.applied(rec.by == l, e, out)
	}
}

// replayed applies an entry that the store has: nothing may come of it.
func (r *replica) replayed(e *core.Entry) {
	before := r.digest()
	out := r.core.Apply(uint64(r.applied), e)
	if r.digest() != before || len(out.Records)+len(out.Lanes)+len(out.Replies)+len(out.Wants) > 0 {
		r.g.w.failf("V12: g%d r%d: entry %d was applied twice", r.g.id, r.id, r.applied)
	}
}

// fact compares what a replica found at an index with what others did.
func (g *group) fact(index int, f fact, out *core.Output) {
	if index > len(g.facts) {
		g.facts = append(g.facts, f)
		if out != nil {
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

// digest is over all shards of the group.
func (r *replica) digest() (sum state.Digest) {
	for _, s := range r.g.shards {
		sum = sum.Add(r.store.Digest(s))
	}
	return sum
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

// snapshot keeps a copy to restart from; a few are kept.
func (r *replica) snapshot() {
	if len(r.snapshots) == 4 {
		r.snapshots = slices.Delete(r.snapshots, 0, 1)
	}
	r.snapshots = append(r.snapshots, snapshot{index: r.applied, store: r.store.Clone()})
	r.g.w.count("snapshot")
}
