package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// RestartConfig shapes a run of [Restart]. Its Rate is that of the load before
// the kill, its Duration how long that lasts.
type RestartConfig struct {
	KafkaConfig
	StateGiB float64
	Binary   string // of the program that the nodes run; default this process's own
}

// RestartTimes say how long a node takes from the start of its process until it
// decides, in microseconds.
type RestartTimes struct {
	StateGiB float64 `json:"state_gib"` // on disk
	Orders   int64   `json:"orders"`    // one-line orders that made it
	Fill     float64 `json:"fill_us"`
	Stop     float64 `json:"stop_us"`    // an orderly one
	Orderly  float64 `json:"orderly_us"` // until ready after it
	Killed   float64 `json:"killed_us"`  // until ready after a kill -9 under load
	// Replayed are the entries that were applied but not handed to Pebble when
	// the node was last asked before the kill; what Pebble had not flushed is
	// replayed as well.
	Replayed int64 `json:"replayed_entries"`
}

func (c *RestartConfig) withDefaults() {
	if c.SharedWith == "" {
		c.SharedWith = "load generator and broker on the same machine"
	}
	c.KafkaConfig.withDefaults()
	if c.Duration == 0 {
		c.Duration = 5 * time.Second
	}
}

// Validate reports every fault.
func (c *RestartConfig) Validate() error {
	load := c.KafkaConfig
	load.Duration = time.Second
	err := load.Validate()
	if c.Nodes > 1 {
		err = errors.Join(err, fmt.Errorf("nodes is %d; want 1: the others would go on meanwhile", c.Nodes))
	}
	if c.StateGiB <= 0 || c.StateGiB > 1000 {
		err = errors.Join(err, fmt.Errorf("state is %g GiB; want more than 0, up to 1,000", c.StateGiB))
	}
	return err
}

// restartRun is one run while it lasts.
type restartRun struct {
	*site
	cfg      RestartConfig
	servers  *servers
	stream   *stream
	seen     *gapMeter
	progress io.Writer
	times    RestartTimes
}

// Restart fills a node's state with orders, then measures how long it takes
// from the start of its process until it decides: after an orderly stop, and
// after kill -9 under load.
func Restart(ctx context.Context, cfg RestartConfig, progress io.Writer) (*Report, error) {
	cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return cfg.onKafka(ctx, "restart", cfg.Binary, func(s *site) (err error) {
		r := &restartRun{site: s, cfg: cfg, seen: &gapMeter{}, progress: progress}
		r.stream = newStream(&cfg.KafkaConfig, s.topics, s.producer)
		if r.servers, err = newServers(&cfg.KafkaConfig, 1, cfg.Binary, s.dir, s.topics); err != nil {
			return err
		}
		return r.run(ctx)
	})
}

func (r *restartRun) run(ctx context.Context) (err error) {
	report := r.report
	cpu, children := cpuSeconds(), childSeconds()
	defer func() {
		err = errors.Join(err, r.servers.close())
		report.CPUSeconds = round(cpuSeconds() - cpu + childSeconds() - children)
	}()
	if err := r.servers.form(ctx); err != nil {
		return err
	}
	if err := prepareTopics(ctx, r.topics, r.producer, &r.stream.shop, r.servers.inputs); err != nil {
		return err
	}
	consumer, err := r.topics.consume(ctx, func(d *seenDecision) {
		if n, ok := orderNumber(d.key); ok {
			r.seen.note(n, d.at)
		}
	})
	if err != nil {
		return err
	}
	for _, step := range []func(ctx context.Context) error{r.fill, r.orderly, r.killed} {
		if err := step(ctx); err != nil {
			return errors.Join(err, consumer.stop())
		}
	}
	if err := errors.Join(r.cfg.whileMoving(ctx, r.stream.made(), r.seen.count), consumer.stop()); err != nil {
		return err
	}
	report.Restart, report.Events, report.RSSMiB = &r.times, int64(r.stream.made()), r.servers.rss()
	report.GeneratorCPUSeconds = micros(r.stream.busy) / 1e6
	if report.Checks, err = r.topics.scan(ctx, r.stream.made(), r.cfg.tamper); err != nil {
		return err
	}
	report.Checks.Oversold, err = r.servers.oversold(ctx, r.cfg.Workload.SKUs)
	return err
}

// fillAhead is how many orders may be on their way while the state is filled.
const fillAhead = 20_000

// fill makes orders, as fast as they are decided, until the state is as large as
// wanted on disk.
func (r *restartRun) fill(ctx context.Context) error {
	node := r.servers.all[0]
	began := time.Now()
	told := began
	for {
		bytes, err := node.metric(ctx, "anabranch_state_disk_bytes")
		if err != nil {
			return err
		}
		r.times.StateGiB = round(bytes / (1 << 30))
		if r.times.StateGiB >= r.cfg.StateGiB {
			break
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			if _, err := fmt.Fprintf(r.progress, "%.2f of %g GiB, %d orders\n", r.times.StateGiB, r.cfg.StateGiB, r.stream.made()); err != nil {
				return err
			}
		}
		if err := r.stream.burst(ctx, fillAhead/2); err != nil {
			return err
		}
		goal := r.stream.made() - fillAhead/2
		if err := r.cfg.whileMoving(ctx, goal, r.seen.count); err != nil {
			return err
		}
		if r.seen.count() < goal {
			return fmt.Errorf("no decisions for %v while the state is filled: %s", r.cfg.patience, node.child.lastWords())
		}
	}
	if err := r.cfg.whileMoving(ctx, r.stream.made(), r.seen.count); err != nil {
		return err
	}
	r.times.Orders, r.times.Fill = int64(r.stream.made()), micros(time.Since(began))
	return nil
}

// orderly stops the node in order and starts it.
func (r *restartRun) orderly(ctx context.Context) error {
	node := r.servers.all[0]
	began := time.Now()
	if err := node.child.stop(); err != nil {
		return err
	}
	r.times.Stop = micros(time.Since(began))
	var err error
	r.times.Orderly, err = r.start(ctx, node)
	return err
}

// killed kills the node under load and starts it.
func (r *restartRun) killed(ctx context.Context) error {
	node := r.servers.all[0]
	r.stream.start(ctx)
	select {
	case <-ctx.Done():
	case <-time.After(r.cfg.Duration):
	}
	state, err := node.replica(ctx)
	if err == nil {
		r.times.Replayed = int64(state.Applied) - int64(state.Written)
		err = node.child.kill()
	}
	_, loadErr := r.stream.stop(ctx)
	if err := errors.Join(err, loadErr, ctx.Err()); err != nil {
		return err
	}
	r.times.Killed, err = r.start(ctx, node)
	return err
}

// start says how long the node takes until it is ready.
func (r *restartRun) start(ctx context.Context, node *server) (float64, error) {
	began := time.Now()
	if err := r.servers.start(node); err != nil {
		return 0, err
	}
	if err := node.ready(ctx); err != nil {
		return 0, err
	}
	took := micros(time.Since(began))
	_, err := fmt.Fprintf(r.progress, "ready after %v\n", time.Since(began).Round(time.Millisecond))
	return took, err
}
