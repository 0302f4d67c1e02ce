package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

// MoveConfig shapes a run of [Move]. Its Duration is how long the load runs
// before the first move, after the warm-up, to compare with.
type MoveConfig struct {
	KafkaConfig
	Groups int    // default 2
	Moves  int    // one after the other; default 50
	Binary string // of the program that the nodes run; default this process's own
}

func (c *MoveConfig) withDefaults() {
	if c.Nodes == 0 {
		c.Nodes = 3
	}
	if c.Duration == 0 {
		c.Duration = 5 * time.Second
	}
	if c.SharedWith == "" {
		c.SharedWith = "load generator, consumer, nodes and broker on the same machine"
	}
	c.KafkaConfig.withDefaults()
	if c.Groups == 0 {
		c.Groups = 2
	}
	if c.Moves == 0 {
		c.Moves = 50
	}
}

// Validate reports every fault.
func (c *MoveConfig) Validate() error {
	err := c.KafkaConfig.Validate()
	if c.Groups < 2 || c.Groups > 64 {
		err = errors.Join(err, fmt.Errorf("groups is %d; want 2 to 64: there must be somewhere to move to", c.Groups))
	}
	if c.Moves < 1 || c.Moves > 10_000 {
		err = errors.Join(err, fmt.Errorf("moves is %d; want 1 to 10,000", c.Moves))
	}
	return err
}

// moveRun is one run while it lasts.
type moveRun struct {
	*site
	cfg      MoveConfig
	servers  *servers
	stream   *stream
	meter    *moveMeter
	shards   int
	at       map[state.Shard]int // group
	busy     []state.Shard       // that hold a partition of the orders, or an item
	progress io.Writer
	times    MoveTimes
}

// Move moves shards from group to group under load, and measures what orders
// notice of it.
func Move(ctx context.Context, cfg MoveConfig, progress io.Writer) (*Report, error) {
	cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return cfg.onKafka(ctx, "move", cfg.Binary, func(s *site) error {
		r := &moveRun{site: s, cfg: cfg, meter: newMoveMeter(), progress: progress}
		r.times.Groups = cfg.Groups
		r.stream = newStream(&cfg.KafkaConfig, s.topics, s.producer)
		return r.run(ctx)
	})
}

func (r *moveRun) run(ctx context.Context) (err error) {
	if r.servers, err = newServers(&r.cfg.KafkaConfig, r.cfg.Groups, r.cfg.Binary, r.dir, r.topics); err != nil {
		return err
	}
	children := childSeconds()
	defer func() {
		err = errors.Join(err, r.servers.close())
		r.report.CPUSeconds = round(r.report.CPUSeconds + childSeconds() - children) // of those that have ended: all
	}()
	if err := r.servers.form(ctx); err != nil {
		return err
	}
	if err := prepareTopics(ctx, r.topics, r.producer, &r.stream.shop, r.servers.allInputs); err != nil {
		return err
	}
	if err := r.look(ctx); err != nil {
		return err
	}
	if err := r.around(ctx); err != nil {
		return err
	}
	r.report.Move, r.report.RSSMiB = &r.times, r.servers.rss()
	r.report.Checks.Oversold, err = r.servers.oversold(ctx, r.cfg.Workload.SKUs)
	return err
}

// look learns where shards are, and which are busier than others.
func (r *moveRun) look(ctx context.Context) error {
	if err := r.locate(ctx); err != nil {
		return err
	}
	fetcher, topics, err := r.topics.describe(ctx, retail.TopicSales)
	if err != nil {
		return err
	}
	fetcher.Close()
	for p := range topics.Partitions {
		partition := core.Partition{Topic: retail.TopicSales, TopicID: topics.TopicID, Partition: int64(p)}
		r.busy = append(r.busy, core.PartitionShard(partition, r.shards))
	}
	for i := range min(int(topics.Partitions), r.cfg.Workload.SKUs) {
		r.busy = append(r.busy, state.ShardOf(sku(i), r.shards))
	}
	return nil
}

// locate asks where every shard is.
func (r *moveRun) locate(ctx context.Context) error {
	var answer struct {
		Shards []struct{ Shard, Group int }
	}
	var last error // of nodes that have much to do
	asked := r.servers.all[0]
	if err := asked.await(ctx, func() bool { last = asked.get(ctx, "v1/shards", &answer); return last == nil }); err != nil {
		return fmt.Errorf("shards: %w (%w)", err, last)
	}
	r.shards, r.at = len(answer.Shards)-r.cfg.Groups, map[state.Shard]int{} // each group has one of its own
	for _, s := range answer.Shards {
		if s.Shard < r.shards {
			r.at[state.Shard(s.Shard)] = s.Group
		}
	}
	if len(r.at) != r.shards || r.shards <= 0 {
		return fmt.Errorf("%d of %d shards are in the answer", len(r.at), r.shards)
	}
	return nil
}

// around runs the load around the moves, and completes the report.
func (r *moveRun) around(ctx context.Context) error {
	cancelling := r.startCancelling(ctx)
	consumer, err := r.topics.consume(ctx, func(d *seenDecision) {
		if n, ok := orderNumber(d.key); ok && r.meter.note(n, d.at) {
			cancelling.decided(n)
		}
	})
	if err != nil {
		return errors.Join(err, cancelling.stop())
	}
	cpu := cpuSeconds()
	terms, err := r.servers.terms(ctx, r.cfg.Groups)
	if err != nil {
		return errors.Join(err, cancelling.stop(), consumer.stop())
	}
	r.stream.start(ctx)
	before, during, err := r.stages(ctx)
	busy, loadErr := r.stream.stop(ctx)
	if err = errors.Join(err, loadErr); err == nil {
		err = r.cfg.whileMoving(ctx, r.stream.made(), func() int { n, _ := r.meter.count(); return n })
	}
	// Whatever is cancelled has its decision: only then comes its second record.
	err = errors.Join(err, cancelling.stop(), r.producer.Flush(ctx))
	if err == nil {
		err = r.cfg.whileMoving(ctx, len(cancelling.cancelled), func() int { _, n := r.meter.count(); return int(n) })
	}
	if err = errors.Join(err, consumer.stop()); err != nil {
		return err
	}
	now, err := r.servers.terms(ctx, r.cfg.Groups)
	if err != nil {
		return err
	}
	r.meter.report(&r.times, r.stream.due, before, during, r.shards)
	report := r.report
	report.LeaderChanges = int64(now - terms)
	report.Events = int64(r.stream.made())
	report.AchievedPerSecond = round(float64(report.Events) / during.to.Sub(r.stream.due(0)).Seconds())
	report.CPUSeconds, report.GeneratorCPUSeconds = round(cpuSeconds()-cpu), micros(busy)/1e6
	report.Checks, err = r.topics.scanFor(ctx, r.stream.made(), cancelling.records, r.cfg.tamper)
	return err
}

// stages lets the load run alone for a while, then moves shards.
func (r *moveRun) stages(ctx context.Context) (before, during span, err error) {
	if err := r.pause(ctx, r.cfg.Warmup); err != nil {
		return before, during, err
	}
	before.from = time.Now()
	if err := r.pause(ctx, r.cfg.Duration); err != nil {
		return before, during, err
	}
	before.to = time.Now()
	during.from = before.to
	var took []time.Duration
	for i := range r.cfg.Moves {
		t, err := r.move(ctx, i)
		if err != nil {
			return before, during, fmt.Errorf("move %d: %w", i+1, err)
		}
		if t > 0 {
			took = append(took, t)
		}
		if err := r.pause(ctx, 50*time.Millisecond+rand.N(100*time.Millisecond)); err != nil {
			return before, during, err
		}
	}
	during.to = time.Now()
	r.times.Moves, r.times.Took = len(took), summarise(took)
	return before, during, nil
}

func (r *moveRun) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// move moves a shard to any other group; each third is a busy one. A move that
// is called off took no time.
func (r *moveRun) move(ctx context.Context, i int) (took time.Duration, err error) {
	s := state.Shard(rand.N(r.shards))
	if i%3 == 0 {
		s = r.busy[i/3%len(r.busy)]
	}
	to := (r.at[s] + 1 + rand.N(r.cfg.Groups-1)) % r.cfg.Groups
	from := time.Now()
	took, err = r.servers.all[i%len(r.servers.all)].move(ctx, s, to)
	r.meter.moved(s, from, time.Now())
	said := fmt.Sprintf("moved to group %d in %v", to, took.Round(100*time.Microsecond))
	if err == nil {
		r.at[s] = to
	} else {
		r.times.CalledOff++
		took, said = 0, err.Error()
		if err := r.locate(ctx); err != nil {
			return 0, err
		}
	}
	_, err = fmt.Fprintf(r.progress, "%d of %d: shard %d %s\n", i+1, r.cfg.Moves, s, said)
	return took, err
}

// moving has a bound above that of a node, which has one above that of a move.
var moving = &http.Client{Timeout: time.Minute}

// move asks a node to move a shard, and returns how long it says that took.
func (n *server) move(ctx context.Context, s state.Shard, to int) (time.Duration, error) {
	body, err := json.Marshal(map[string]int{"shard": int(s), "group": to})
	if err != nil {
		return 0, err
	}
	var answer struct {
		TookUS int64 `json:"took_us"`
	}
	err = n.send(ctx, moving, http.MethodPost, "v1/cluster/move", bytes.NewReader(body), &answer)
	return time.Duration(answer.TookUS) * time.Microsecond, err
}
