package sim

import (
	"slices"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
	"anabranch.dev/state/memstate"
)

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

// start brings a replica up from a snapshot.
func (r *replica) start(from snapshot) {
	w := r.g.w
	r.up, r.busy = true, false
	r.skew = w.between(-2*state.Second, 2*state.Second)
	w.fastest = max(w.fastest, r.skew)
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
			for _, mv := range r.core.Moves() {
				w.count("leader crashed in a move: " + mv.Phase)
			}
			w.after(w.between(200*state.Millisecond, state.Second), r.g.elect)
		}
	}
	if w.rng.IntN(2) == 0 && r.core.Halted() == nil && !w.off(Crashes) { // all of its state was on the disk
		w.count("crash keeps all state")
		r.snapshots = append(r.snapshots, snapshot{index: r.applied, store: r.store})
	}
	r.up, r.core, r.store, r.lead = false, nil, nil, nil
	r.life++
	if r.g.known() == nil {
		w.count("no replica of a group left")
	}
	w.after(w.between(50*state.Millisecond, 3*state.Second), r.restart)
}

// restart brings a crashed replica up from any snapshot it has, or from none.
func (r *replica) restart() {
	if r.up {
		return
	}
	w := r.g.w
	from := snapshot{}
	n, other := w.rng.IntN(len(r.snapshots)+2), r.installable()
	switch {
	case n < len(r.snapshots):
		from = r.snapshots[n]
		w.count("restart from snapshot")
	case n == len(r.snapshots) && other.store != nil:
		from = other
		r.snapshots = []snapshot{other}
		w.count("snapshot installed from another replica")
	default:
		w.count("restart from nothing")
	}
	w.tracef("g%d r%d restarts at %d", r.g.id, r.id, from.index)
	r.start(from)
}

// install has a running replica that is behind take the newest snapshot of
// another one in place of its own state, as a leader makes it do whose log begins
// later.
func (r *replica) install() {
	w := r.g.w
	for _, other := range r.g.replicas {
		if other.up && other.applied > r.applied && other.core.Halted() == nil {
			other.snapshot()
			break
		}
	}
	from := r.installable()
	if !r.up || from.index <= r.applied || r.g.leader == r.lead && r.lead != nil {
		return
	}
	w.count("snapshot installed on a lagging replica")
	w.tracef("g%d r%d at %d takes a snapshot of %d", r.g.id, r.id, r.applied, from.index)
	if r.lead != nil {
		r.lead.stop()
	}
	r.lead = nil
	r.life++
	r.snapshots = append(r.snapshots, from)
	r.start(from)
}

// installable is the newest snapshot of another replica.
func (r *replica) installable() (newest snapshot) {
	for _, other := range r.g.replicas {
		if n := len(other.snapshots); other != r && n > 0 && other.snapshots[n-1].index > newest.index {
			newest = other.snapshots[n-1]
		}
	}
	return newest
}

// quarantine sets a replica's files aside: it begins again from those of others.
func (r *replica) quarantine() {
	r.g.w.count("replica quarantined")
	r.snapshots = nil
	if r.up {
		r.crash()
	}
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
			rec.by.serve()
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
	before, halted := r.core.LogTime(), r.core.Halted() != nil
	gaps := g.note(r, e)
	out := r.core.Apply(uint64(r.applied), e)
	g.settle(r.core, gaps)
	if out.Halt != nil && out.Halt.Index != g.breach {
		w.failf("g%d r%d: halted at entry %d message %d: %s", g.id, r.id, out.Halt.Index, out.Halt.Message, out.Halt.Code)
		return
	}
	first := r.applied > len(g.facts)
	if out.Time < before {
		w.failf("V7: g%d r%d: log time went back from %v to %v at %d", g.id, r.id, before, out.Time, r.applied)
	}
	if first && w.cfg.Clock == core.ClockWall && out.Time > w.now+w.fastest {
		w.failf("V7: g%d: log time at %d is %v, ahead of every clock there was", g.id, r.applied, out.Time)
	}
	g.fact(r.applied, fact{digest: r.digest(), output: outputHash(out), time: out.Time}, out)
	if first {
		g.laneNumbers(e, out)
	}
	if w.rng.IntN(30) == 0 && out.Halt == nil {
		r.snapshot()
	}
	switch l := r.lead; {
	case l == nil || !l.alive:
	case halted && out.Halt == nil:
		w.count("halt skipped")
		l.serve()
	case out.Halt != nil && l.tenure != nil:
		l.stop() // another leadership of the same replica or another one waits for the skip
		w.after(w.between(0, state.Second), g.elect)
	case l.tenure != nil:
		l.applied(rec.by == l, out)
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

// digest is over all shards of the group.
func (r *replica) digest() (sum state.Digest) {
	cfg := &r.g.w.cfg
	for s := range cfg.Shards + cfg.Groups {
		sum = sum.Add(r.store.Digest(state.Shard(s)))
	}
	return sum
}

// snapshot keeps a copy to restart from; a few are kept.
func (r *replica) snapshot() {
	if len(r.snapshots) >= 4 {
		r.snapshots = slices.Delete(r.snapshots, 0, len(r.snapshots)-3)
	}
	r.snapshots = append(r.snapshots, snapshot{index: r.applied, store: r.store.Clone()})
	r.g.w.count("snapshot")
}
