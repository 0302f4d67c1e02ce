package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"runtime/debug"

	"github.com/cespare/xxhash/v2"

	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/topology"
)

// epoch is when virtual time begins.
const epoch = state.Time(1_795_251_600_000_000) // 2026-11-21T09:00:00Z

// maxSteps ends a run that goes round in circles.
const maxSteps = 300_000

// deadline is how long after healing everything must be done.
const deadline = 3 * state.Minute

// world is one run: the event loop and everything in it.
type world struct {
	cfg      Config
	plan     *topology.Plan
	tables   []*state.Table
	codec    *codec.Codec
	workload Workload
	rng      *rand.Rand // what happens
	content  *rand.Rand // what the workload brings
	now      state.Time
	queue    steps
	seq      uint64
	steps    int
	hash     *xxhash.Digest
	kafka    *kafka
	groups   []*group
	clients  clients
	report   *Report
	errs     []error
	lost     map[string]int64  // events lost in gaps, by partition
	given    []operators.Event // up for lost
	commands int               // given by a person, or of one group to another
	places   []core.Placement  // of all shards, as the newest of all groups
	before   []int             // the group that a shard has left, -1 if none
	fastest  state.Time        // how far ahead clocks can have taken log time
	moving   bool              // shards move
	halting  bool              // groups are halted; then no gap is made
	asked    map[string]func(code string)

	produced bool       // the workload has brought all
	healed   state.Time // since when nothing goes wrong any more, 0 if not
	done     bool
}

// step is something that happens at a virtual time.
type step struct {
	at  state.Time
	seq uint64
	fn  func()
}

type steps []step

func (s steps) Len() int { return len(s) }
func (s steps) Less(i, j int) bool {
	return s[i].at < s[j].at || s[i].at == s[j].at && s[i].seq < s[j].seq
}
func (s steps) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *steps) Push(x any)   { *s = append(*s, x.(step)) }
func (s *steps) Pop() any {
	old := *s
	last := old[len(old)-1]
	old[len(old)-1] = step{}
	*s = old[:len(old)-1]
	return last
}

// Run simulates one seed. The error is a [Failure] if an invariant broke, or if
// something panicked.
func Run(cfg Config, workload Workload, checkers ...Checker) (report *Report, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	defer func() {
		if what := recover(); what != nil {
			err = &Failure{Again: cfg.Again, Errs: []error{fmt.Errorf("panic: %v\n%s", what, debug.Stack())}}
		}
	}()
	w := newWorld(cfg, workload)
	w.start()
	for !w.done && len(w.errs) == 0 && len(w.queue) > 0 {
		s := heap.Pop(&w.queue).(step)
		w.now = s.at
		s.fn()
		if w.steps++; w.steps > maxSteps {
			w.failf("V13: %d steps and no end: %s", w.steps, w.unfinished())
		}
	}
	if len(w.errs) == 0 {
		w.check(checkers)
	}
	w.report.Trace = w.hash.Sum64()
	w.report.Virtual = w.now - epoch
	if len(w.errs) > 0 {
		return w.report, &Failure{Again: cfg.Again, Errs: w.errs}
	}
	return w.report, nil
}

func newWorld(cfg Config, workload Workload) *world {
	w := &world{cfg: cfg, workload: workload, plan: workload.Plan(), now: epoch, codec: codec.New(), hash: xxhash.New(), lost: map[string]int64{}, asked: map[string]func(string){},
		rng:     rand.New(rand.NewPCG(cfg.Seed, 1)),
		content: rand.New(rand.NewPCG(cfg.Content, 2)),
		report:  &Report{Seed: cfg.Seed, Groups: cfg.Groups, Clock: cfg.Clock, Counts: map[string]int64{}}}
	w.tables = core.Tables(w.plan)
	w.moving = cfg.Groups > 1 && cfg.Clock == core.ClockWall && w.rng.IntN(4) > 0 && !w.off(Moves)
	w.halting = cfg.Clock == core.ClockWall && w.rng.IntN(3) == 0 && !w.off(Halts)
	for s := range cfg.Shards {
		w.places = append(w.places, core.Placement{Shard: state.Shard(s), Group: s % cfg.Groups})
		w.before = append(w.before, -1)
	}
	w.kafka = newKafka(w)
	w.clients.w = w
	for id := range cfg.Groups {
		w.groups = append(w.groups, newGroup(w, id))
	}
	return w
}

// start puts the first steps into the queue.
func (w *world) start() {
	for _, g := range w.groups {
		g.elect()
	}
	w.after(state.Millisecond, w.produce)
	w.after(100*state.Millisecond, w.supervise)
	w.after(state.Second, w.attend)
	w.faults()
	w.changes()
	w.moveShards()
}

// after lets something happen later.
func (w *world) after(d state.Time, fn func()) {
	w.seq++
	heap.Push(&w.queue, step{at: w.now + max(d, 1), seq: w.seq, fn: fn})
}

// between draws a duration.
func (w *world) between(low, high state.Time) state.Time {
	return low + state.Time(w.rng.Int64N(int64(high-low)+1))
}

// chance is true one time in n while things go wrong, and never after healing.
func (w *world) chance(n int) bool { return w.healed == 0 && w.rng.IntN(n) == 0 }

func (w *world) count(name string) { w.report.Counts[name]++ }

func (w *world) failf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	w.tracef("FAIL %v", err)
	w.errs = append(w.errs, err)
}

// tracef notes a step.
func (w *world) tracef(format string, args ...any) {
	line := fmt.Appendf(nil, "%12.6f ", float64(w.now-epoch)/float64(state.Second))
	line = fmt.Appendf(line, format, args...)
	line = append(line, '\n')
	w.hash.Write(line)
	if w.cfg.Trace != nil {
		w.cfg.Trace.Write(line)
	}
}

// produce lets the workload bring in more.
func (w *world) produce() {
	if more := w.workload.Produce(w.content, w.now, w.bring); !more {
		w.produced = true
		w.after(w.between(state.Second, 3*state.Second), w.heal)
		return
	}
	w.after(w.between(state.Millisecond, 40*state.Millisecond), w.produce)
}

// bring takes one input to where it belongs.
func (w *world) bring(in Input) {
	if in.After > 0 {
		late := in.After
		in.After = 0
		w.kafka.promised++
		w.after(late, func() {
			w.kafka.promised--
			w.bring(in)
		})
		return
	}
	if in.Command != nil {
		w.clients.add(in)
		return
	}
	w.kafka.produce(in)
}

// delivered shows an output record to the workload.
func (w *world) delivered(rec *operators.Record) {
	w.workload.Delivered(rec, w.content, w.now, w.bring)
}

// groupOf is where a shard is now, group shards included.
func (w *world) groupOf(s state.Shard) int {
	if int(s) >= w.cfg.Shards {
		return int(s) - w.cfg.Shards
	}
	return w.places[s].Group
}

// home is where a shard is at first.
func (w *world) home(s state.Shard) int { return int(s) % w.cfg.Groups }

// supervise looks at the whole ten times a second: opens the gate of the first
// topics, and finds out when all is done.
func (w *world) supervise() {
	w.openGate()
	if w.healed != 0 {
		waiting := w.unfinished()
		if waiting == "" {
			w.done = true
			return
		}
		if w.now-w.healed > deadline {
			w.failf("V13: %v after healing: %s", (w.now - w.healed).Wall().Format("04:05"), waiting)
			return
		}
	}
	w.after(100*state.Millisecond, w.supervise)
}

// openGate lets plain topics in once every group has read its first topics.
func (w *world) openGate() {
	for _, g := range w.groups {
		if l := g.leader; l == nil || !l.ready() || !l.tenure.FirstRead() {
			return
		}
	}
	for _, g := range w.groups {
		g.leader.tenure.Intake.OpenAll()
		g.leader.drive()
	}
}
