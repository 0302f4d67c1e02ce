package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// FailoverConfig shapes a run of [Failover]. Its Duration is not used: the run
// takes as long as it takes.
type FailoverConfig struct {
	KafkaConfig
	Times   int    // that the leader goes; default 20
	Planned bool   // by a transfer instead of kill -9
	Binary  string // of the program that the nodes run; default this process's own
}

// FailoverTimes are the stretches without a new decision, in microseconds, one
// for each time that the leader went.
type FailoverTimes struct {
	How        string `json:"how"` // kill -9, or transfer
	Visible    Gaps   `json:"visible_us"`
	Replicated *Gaps  `json:"replicated_us,omitempty"` // where it can be seen from inside
	// Steady is the longest stretch before the first time.
	Steady float64 `json:"steady_us"`
	// CaughtUp is from the restart of the victim until it was.
	CaughtUp  *Gaps `json:"caught_up_us,omitempty"`
	Elections int64 `json:"elections"`
}

// Gaps are durations and their summary.
type Gaps struct {
	Median float64   `json:"median"`
	Max    float64   `json:"max"`
	Gaps   []float64 `json:"all"`
}

func summarise(gaps []time.Duration) Gaps {
	if len(gaps) == 0 {
		return Gaps{}
	}
	var g Gaps
	for _, d := range gaps {
		g.Gaps = append(g.Gaps, micros(d))
	}
	sorted := slices.Sorted(slices.Values(g.Gaps))
	g.Median, g.Max = sorted[len(sorted)/2], sorted[len(sorted)-1]
	return g
}

func (c *FailoverConfig) withDefaults() {
	if c.Nodes == 0 {
		c.Nodes = 3
	}
	if c.SharedWith == "" {
		c.SharedWith = "load generator, consumer, nodes and broker on the same machine"
	}
	c.KafkaConfig.withDefaults()
	if c.Times == 0 {
		c.Times = 20
	}
}

// Validate reports every fault.
func (c *FailoverConfig) Validate() error {
	load := c.KafkaConfig
	load.Duration = time.Second
	err := load.Validate()
	if c.Nodes == 1 {
		err = errors.Join(err, errors.New("nodes is 1; want 3: there must be someone to take over"))
	}
	if c.Times < 0 || c.Times > 1000 {
		err = errors.Join(err, fmt.Errorf("%d times; want 1 to 1,000", c.Times))
	}
	return err
}

// failoverRun is one run while it lasts.
type failoverRun struct {
	*site
	cfg      FailoverConfig
	stream   *stream
	visible  *gapMeter
	progress io.Writer
}

// Failover measures the longest stretch without new decisions, as a
// read_committed consumer sees it, each time that the leader goes under load.
func Failover(ctx context.Context, cfg FailoverConfig, progress io.Writer) (*Report, error) {
	cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	program := cfg.Binary
	if cfg.Planned { // the nodes are in this process, and so is the broker
		program = inside
	}
	return cfg.onKafka(ctx, "failover", program, func(s *site) error {
		r := &failoverRun{site: s, cfg: cfg, visible: &gapMeter{}, progress: progress}
		r.stream = newStream(&cfg.KafkaConfig, s.topics, s.producer)
		if cfg.Planned {
			return r.transfers(ctx)
		}
		return r.kills(ctx)
	})
}

// around runs the load around fn, which makes the leader go, and completes the
// report.
func (r *failoverRun) around(ctx context.Context, times *FailoverTimes, fn func(ctx context.Context) error) error {
	consumer, err := r.topics.consume(ctx, func(d *seenDecision) {
		if n, ok := orderNumber(d.key); ok {
			r.visible.note(n, d.at)
		}
	})
	if err != nil {
		return err
	}
	cpu := cpuSeconds()
	r.stream.start(ctx)
	err = r.steady(ctx, r.cfg.Warmup)
	r.visible.reset()
	if err == nil {
		err = r.steady(ctx, 2*time.Second)
	}
	times.Steady = micros(r.visible.longest(time.Now()))
	began, from := r.stream.made(), time.Now()
	if err == nil {
		err = fn(ctx)
	}
	busy, loadErr := r.stream.stop(ctx)
	if err = errors.Join(err, loadErr); err == nil {
		err = r.cfg.whileMoving(ctx, r.stream.made(), r.visible.count)
	}
	if err = errors.Join(err, consumer.stop()); err != nil {
		return err
	}
	report := r.report
	report.Failover, report.Events = times, int64(r.stream.made()-began)
	report.AchievedPerSecond = round(float64(report.Events) / time.Since(from).Seconds())
	report.CPUSeconds, report.GeneratorCPUSeconds = round(cpuSeconds()-cpu), micros(busy)/1e6
	report.Checks, err = r.topics.scan(ctx, r.stream.made(), r.cfg.tamper)
	return err
}

// steady lets the load run for a while, as long as decisions come.
func (r *failoverRun) steady(ctx context.Context, d time.Duration) error {
	before := r.visible.count()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
	}
	return r.cfg.whileMoving(ctx, before+1, r.visible.count)
}

// each makes the leader go so many times, at random moments, and reads the gaps.
func (r *failoverRun) each(ctx context.Context, meters []*gapMeter, once func(ctx context.Context) error) ([][]time.Duration, error) {
	gaps := make([][]time.Duration, len(meters))
	for i := range r.cfg.Times {
		if err := r.steady(ctx, 500*time.Millisecond+rand.N(time.Second)); err != nil {
			return nil, err
		}
		for _, m := range meters {
			m.reset()
		}
		if err := once(ctx); err != nil {
			return nil, fmt.Errorf("time %d: %w", i+1, err)
		}
		if err := r.steady(ctx, 500*time.Millisecond); err != nil {
			return nil, err
		}
		now := time.Now()
		for k, m := range meters {
			gaps[k] = append(gaps[k], m.longest(now))
		}
		if _, err := fmt.Fprintf(r.progress, "%d of %d: %v without visible decisions\n", i+1, r.cfg.Times, gaps[0][i].Round(time.Millisecond)); err != nil {
			return nil, err
		}
	}
	return gaps, nil
}
