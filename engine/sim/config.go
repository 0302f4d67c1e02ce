package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// Config says what to simulate.
type Config struct {
	Seed     uint64
	Groups   int        // 0: 1
	Replicas int        // per group, 0: 3
	Shards   int        // 0: 16
	Clock    core.Clock // empty: core.ClockWall
	// Content seeds the workload; 0: as Seed. With the same content, other
	// seeds let other things go wrong around the same input.
	Content uint64
	// Calm leaves the input topics as they are: nothing is lost.
	Calm bool
	// Without are the kinds of what goes wrong, of [Kinds], that are switched off.
	Without []string
	// Again is the command that runs this seed again, for messages.
	Again string
	// Trace receives one line per step, if set. Its hash is in the report
	// anyway.
	Trace io.Writer
}

func (c Config) withDefaults() Config {
	if c.Groups == 0 {
		c.Groups = 1
	}
	if c.Replicas == 0 {
		c.Replicas = 3
	}
	if c.Shards == 0 {
		c.Shards = 16
	}
	if c.Clock == "" {
		c.Clock = core.ClockWall
	}
	if c.Content == 0 {
		c.Content = c.Seed
	}
	if c.Again == "" {
		c.Again = fmt.Sprintf("go run ./cmd/anabranch sim --seed %d --groups %d", c.Seed, c.Groups)
	}
	return c
}

func (c Config) validate() error {
	var faults []string
	if c.Groups < 1 || c.Groups > 16 || c.Replicas < 1 || c.Shards < c.Groups {
		faults = append(faults, fmt.Sprintf("%d groups of %d replicas over %d shards", c.Groups, c.Replicas, c.Shards))
	}
	for _, kind := range c.Without {
		if !slices.Contains(Kinds(), kind) {
			faults = append(faults, fmt.Sprintf("without %q, which is none of %s", kind, strings.Join(Kinds(), ", ")))
		}
	}
	if c.Clock == core.ClockReplay && c.Groups > 1 {
		faults = append(faults, "the replay clock runs with one group")
	}
	if len(faults) > 0 {
		return fmt.Errorf("sim: %s", strings.Join(faults, "; "))
	}
	return nil
}

// Topic is one input topic.
type Topic struct {
	Alias      string
	Partitions int
}

// Input is one thing that comes from outside: a record, or an API command if
// Command is set.
type Input struct {
	After     state.Time // produced this much later
	Topic     string     // alias
	Partition int
	Events    []operators.Event // of one record; an event with a Reject is what bad bytes decode to
	Value     []byte            // instead of events: bytes for the workload's [Decoder]
	Mark      state.Time        // instead of events: nothing before it follows in the partition
	Command   *operators.Event
	Answer    bool   // the client waits for a decision
	Key       string // a command's primary key
}

// Workload is what a simulated cluster works on.
type Workload interface {
	Plan() *topology.Plan
	Topics() []Topic
	// Produce brings in a little more at a time, until it returns false.
	Produce(r *rand.Rand, now state.Time, emit func(Input)) (more bool)
	// Delivered shows a record that a consumer has read, so that the world
	// may react to a decision.
	Delivered(rec *operators.Record, r *rand.Rand, now state.Time, emit func(Input))
}

// Decoder is what a workload implements too if it brings in bytes.
type Decoder interface {
	// Decode is a pure function of a record, as that of a node is.
	Decode(alias string, r *connectors.RawRecord, emit func(operators.Event)) operators.Mark
}

// Checker judges the end of a run.
type Checker func(f *Final) []error

// Final is a cluster at rest: all input applied, all output delivered.
type Final struct {
	Config  Config
	Plan    *topology.Plan
	Records []*operators.Record // all output that a read_committed consumer sees, in order
	Groups  []FinalGroup
	// GroupOf is the placement of shards.
	GroupOf func(state.Shard) int
	// Counts are the report's: a checker may add its own.
	Counts map[string]int64
	// Lost events were gone from their topic before they could be read.
	Lost []operators.Event
}

// FinalGroup is one group at rest.
type FinalGroup struct {
	Core *core.Core
	View state.Reader
}

// Report says what a run did.
type Report struct {
	Seed    uint64
	Groups  int
	Clock   core.Clock
	Counts  map[string]int64 // faults and rare paths by name
	Entries int64
	Events  int64
	Records int64
	Trace   uint64 // hash over every step
	Tables  string // digest over the operators' rows
	Virtual state.Time
}

// Add sums another run's counts up.
func (r *Report) Add(o *Report) {
	if r.Counts == nil {
		r.Counts = map[string]int64{}
	}
	for name, n := range o.Counts {
		r.Counts[name] += n
	}
	r.Clock = o.Clock
	r.Entries += o.Entries
	r.Events += o.Events
	r.Records += o.Records
	r.Virtual += o.Virtual
}

// Missing lists what never happened in the runs summed up: over a set of seeds,
// a fault that was not tried proves nothing. groups says which paths there are.
func (r *Report) Missing(groups int, also ...string) []string {
	var missing []string
	for _, name := range append(rare(groups), also...) {
		if r.Counts[name] == 0 && !(r.Clock == core.ClockReplay && slices.Contains(wallOnly, name)) {
			missing = append(missing, name)
		}
	}
	sort.Strings(missing)
	return missing
}

// String is the report as sorted lines.
func (r *Report) String() string {
	names := make([]string, 0, len(r.Counts))
	for name := range r.Counts {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	fmt.Fprintf(&b, "%d entries, %d events, %d records, %.1f s of virtual time\n", r.Entries, r.Events, r.Records,
		float64(r.Virtual)/float64(state.Second))
	for _, name := range names {
		fmt.Fprintf(&b, "%8d %s\n", r.Counts[name], name)
	}
	return b.String()
}

// Failure is a run that broke an invariant.
type Failure struct {
	Again string // the command that shows it again
	Errs  []error
}

// Error names what broke and the command that shows it again.
func (f *Failure) Error() string {
	var b strings.Builder
	for i, err := range f.Errs {
		if i == 10 {
			fmt.Fprintf(&b, "… and %d more\n", len(f.Errs)-i)
			break
		}
		fmt.Fprintf(&b, "%v\n", err)
	}
	return b.String() + "replay with: " + f.Again
}

// Unwrap returns what broke.
func (f *Failure) Unwrap() []error { return f.Errs }
