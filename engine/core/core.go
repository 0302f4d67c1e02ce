package core

import (
	"fmt"

	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// Clock says where log time comes from.
type Clock string

const (
	// ClockWall: each entry carries its leader's stamp.
	ClockWall Clock = "wall"
	// ClockReplay: each range carries the time of its events, in the strict
	// order of event time over all inputs.
	ClockReplay Clock = "replay"
)

// Limits of the core; see the architecture.
const (
	maxEffects  = 8192      // per operator call
	maxDepth    = 32        // causes behind a message
	maxCalls    = 1_000_000 // caused by one message
	maxDead     = 4096      // dead letters kept per shard
	conflateMax = 64        // conflated records flushed per call

	seenLifetime = 48 * state.Hour
	// A key that says nothing for longer than this begins again with number 1;
	// decision ids differ all the same, by the hour they name.
	numberLifetime = 400 * state.Day
	lateAfter      = 31 * state.Day
	clockBehind    = 30 * state.Day
	clockAhead     = 5 * state.Minute
)

// Config is what a core needs to know. All replicas of a group must agree on it,
// but for Knows.
type Config struct {
	Plan   *topology.Plan
	Codec  state.Codec
	Shards int // of the cluster, group shards not counted
	Group  int
	Groups int
	// GroupOf says which group a shard belongs to at first.
	GroupOf     func(state.Shard) int
	Incarnation uint64
	Lateness    state.Time // 0: 10 s
	Clock       Clock
	// Knows is the highest feature level that this replica can be at, which may
	// differ from replica to replica. 0: [Level].
	Knows uint64
	// Fields picks what of an event may be shown in a dead letter.
	Fields func(e state.Visitable) []operators.Field
}

// Core is one replica of a group's state machine. It has one user at a time.
type Core struct {
	cfg   Config
	plan  *topology.Plan
	store state.Store

	inForce       uint64 // feature level
	level         uint8  // of the entry at hand
	group         groupRow
	groupCell     state.Cell // valid inside one entry
	partitions    []*partition
	byName        map[string]*partition
	counters      map[string]*counter // by origin; touched ones are flushed per entry
	touched       []*counter
	origin        Partition // the last one counted, and its outcomes
	originCount   *counter
	lastPartition *partition
	stages        map[state.StageID]*topology.Stage
	lifetimes     map[state.StageID][]*state.Table // tables whose rows expire
	answers       map[*operators.OutPort]bool
	outlets       map[*operators.OutPort]*outlet

	dues    dueIndex
	marks   watermarks
	wakes   []wake   // cells whose place in the index may have to change
	call    call     // the one call in progress
	reg     register // of a cell outside of a call
	open    openCells
	epoch   uint64 // changes before and after each entry: how long handles are good
	bound   bound
	scratch map[state.StageID]*any
	queue   []queued // messages waiting to run, of the event at hand
	calls   int
	index   uint64 // of the entry at hand
	ordinal uint64 // of the message at hand in it
	out     *Output

	outsideMessage Message // the outside event at hand
	derivedMessage Message // what it has caused, one after the other

	places []place // by shard
	moves  map[state.Shard]*moveRow
	heard  map[state.Shard]uint64 // broadcast rows taken in, by the shard that published them

	outboxes      []shardOutbox // by shard
	outboxesDirty []state.Shard
	hour          state.Time // of log time, and as decision ids name it
	hourName      string
	outboxRecords int
	outboxBytes   int64
	deadLetters   int64
	conflated     []state.Shard // with conflated records
	flushing      []conflated
	laneDepth     map[lanePair]uint64    // unacknowledged messages per lane
	laneFrom      map[state.Shard]uint64 // and of all lanes from a shard

	halt    *Halt
	waiting []waitingEntry
	skips   map[uint64]map[uint64]bool
}

// waitingEntry is an entry received while halted.
type waitingEntry struct {
	index uint64
	entry *Entry
}

// New starts a core over a store, reading back what its caches hold.
func New(cfg Config, store state.Store) (*Core, error) {
	if cfg.Plan == nil || cfg.Codec == nil || cfg.Shards <= 0 || cfg.Groups <= 0 || cfg.GroupOf == nil {
		return nil, fmt.Errorf("core: plan, codec, shards, groups and placement are required")
	}
	if cfg.Clock != ClockWall && cfg.Clock != ClockReplay {
		return nil, fmt.Errorf("core: unknown clock %q", cfg.Clock)
	}
	if cfg.Lateness == 0 {
		cfg.Lateness = 10 * state.Second
	}
	if cfg.Knows == 0 {
		cfg.Knows = Level
	}
	if cfg.Fields == nil {
		cfg.Fields = func(state.Visitable) []operators.Field { return nil }
	}
	c := &Core{
		cfg: cfg, plan: cfg.Plan, store: store,
		byName: map[string]*partition{}, counters: map[string]*counter{},
		stages: map[state.StageID]*topology.Stage{}, lifetimes: map[state.StageID][]*state.Table{},
		answers: map[*operators.OutPort]bool{}, outlets: map[*operators.OutPort]*outlet{},
		laneDepth: map[lanePair]uint64{}, laneFrom: map[state.Shard]uint64{}, skips: map[uint64]map[uint64]bool{}, epoch: 1, scratch: map[state.StageID]*any{},
	}
	c.call.core = c
	c.indexPlan()
	c.openGroupCell()
	if c.loadLevel(); c.inForce > cfg.Knows {
		return nil, &UnknownLevel{Knows: cfg.Knows, Needs: c.inForce}
	}
	c.load()
	return c, nil
}

// indexPlan prepares look-ups by stored id.
func (c *Core) indexPlan() {
	for _, s := range c.plan.Stages {
		c.stages[s.ID] = s
		c.lifetimes[s.ID] = []*state.Table{tabSeen, tabNumber}
		for _, t := range s.Decl.Tables {
			if t.Lifetime > 0 {
				c.lifetimes[s.ID] = append(c.lifetimes[s.ID], t)
			}
		}
		for _, in := range s.Decl.Ins {
			if in.Refuse != nil {
				out, _, _ := in.Refuse(in.New(), "")
				c.answers[out] = true
			}
		}
	}
	for _, s := range c.plan.Stages {
		for _, out := range s.Decl.Outs {
			c.outlets[out] = c.outletOf(out)
		}
	}
	c.lifetimes[idDecision] = []*state.Table{tabDecision}
}

// load fills the caches from rows.
func (c *Core) load() {
	c.openGroupCell()
	if row, ok := c.groupCell.Get(tabGroup, "").(*groupRow); ok {
		c.group = *row
	}
	c.groupCell.Scan(tabCounter, "", "", func(name string, v state.Visitable) bool {
		c.counters[name] = &counter{name: name, row: *v.(*counterRow)}
		return true
	})
	c.loadPlaces()
	c.loadHeard()
	c.dues.init(c)
	c.outboxes = make([]shardOutbox, c.cfg.Shards+c.cfg.Groups)
	c.eachShard(func(shard state.Shard) {
		c.loadPartitions(shard)
		c.loadOutbox(shard)
		c.loadLanes(shard)
		c.deadLetters += c.deadHead(shard).Count
		if c.serves(shard) {
			c.loadConflated(shard)
			c.dues.load(c, shard)
		}
	})
	c.marks.load(c)
}

// eachShard visits the shards of this group in order, the group shard last.
func (c *Core) eachShard(fn func(state.Shard)) {
	for s := range c.cfg.Shards {
		if c.groupOf(state.Shard(s)) == c.cfg.Group {
			fn(state.Shard(s))
		}
	}
	fn(GroupShard(c.cfg.Shards, c.cfg.Group))
}

func (c *Core) shardOf(key string) state.Shard { return state.ShardOf(key, c.cfg.Shards) }

// openGroupCell opens the group's own cell; handles last one entry.
func (c *Core) openGroupCell() {
	c.groupCell = c.store.Cell(c.groupCellID())
}

// LogTime is the group's clock.
func (c *Core) LogTime() state.Time { return c.group.LogTime }

// Halted says where a broken invariant stopped the group, or nil.
func (c *Core) Halted() *Halt { return c.halt }

// OutboxDepth is how much is waiting to be delivered to Kafka.
func (c *Core) OutboxDepth() (records int, bytes int64) { return c.outboxRecords, c.outboxBytes }

// DeadLettered is the number of dead letters kept.
func (c *Core) DeadLettered() int64 { return c.deadLetters }

// ProgressOffset is where in the progress partition a new leader reads on from.
func (c *Core) ProgressOffset() int64 { return c.group.Progress }

// Acked is the highest outbox number of a shard known to be in Kafka, and End
// the highest number given.
func (c *Core) Acked(shard state.Shard) (acked, end uint64) {
	h := &c.outboxes[shard].head
	return h.Acked, h.Next - 1
}
