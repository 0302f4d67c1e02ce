package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/node"
	"anabranch.dev/internal/assembly"
)

// DecideConfig shapes a run of [Decide].
type DecideConfig struct {
	Dir        string // for the node's data; empty: a temporary one
	Durability string
	Rate       float64 // orders per second
	Duration   time.Duration
	Warmup     time.Duration // before the clock counts; default 2 s
	Partitions int32         // of each topic; default 4
	Workload   Workload      // default 1,000 items at 8 places
	SharedWith string        // what else ran on the machine
}

func (c *DecideConfig) withDefaults() {
	if c.Warmup == 0 {
		c.Warmup = 2 * time.Second
	}
	if c.Partitions == 0 {
		c.Partitions = 4
	}
	if c.Workload == (Workload{}) {
		c.Workload = Workload{SKUs: 1000, Locations: 8, Units: 900_000}
	}
	if c.SharedWith == "" {
		c.SharedWith = "load generator in the same process"
	}
}

// Validate reports every fault.
func (c DecideConfig) Validate() error {
	var faults []error
	if c.Rate <= 0 || c.Rate > 1e6 {
		faults = append(faults, fmt.Errorf("rate is %g; want more than 0, up to 1,000,000 a second", c.Rate))
	}
	if c.Duration <= 0 {
		faults = append(faults, fmt.Errorf("duration is %v; want more than 0", c.Duration))
	}
	return errors.Join(faults...)
}

// What a run may use: enough rows for every item, not for every order ever made,
// as in a system that runs for longer.
const (
	memoryLimit = 4 << 30
	hotMemory   = 128 << 20
)

// decideRun is one run while it lasts.
type decideRun struct {
	cfg   DecideConfig
	shop  shop
	kafka *memoryKafka
	node  *assembly.Node
	due   []time.Time // when each order was to arrive
	first int         // first order after the warm-up

	mu       sync.Mutex
	latency  *hdrhistogram.Histogram // after the warm-up
	seen     []uint8                 // deliveries per order
	decided  int                     // distinct orders delivered
	observed int
	last     time.Time
	allDone  chan struct{}
}

// Decide measures an event in memory → its decision replicated, from encoded
// record bytes, without a broker: one node, everything else real.
func Decide(ctx context.Context, cfg DecideConfig, progress io.Writer) (*Report, error) {
	cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir := cfg.Dir
	if dir == "" {
		tmp, err := os.MkdirTemp("", "anabranch-bench-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(tmp)
		dir = tmp
	}
	assembly.LimitMemory(memoryLimit)
	r := &decideRun{cfg: cfg, latency: newHistogram(), allDone: make(chan struct{})}
	report := newReport("decide", cfg.SharedWith)
	report.Nodes, report.Durability, report.OfferedPerSecond = 1, cfg.Durability, cfg.Rate
	var err error
	if report.Fdatasync, err = measureDisk(dir); err != nil {
		return nil, err
	}
	if err := r.open(dir); err != nil {
		return nil, err
	}
	return report, r.run(ctx, report, progress)
}

// open prepares the orders and the node.
func (r *decideRun) open(dir string) error {
	r.shop = shop{w: r.cfg.Workload, began: time.Now()}
	r.first = int(r.cfg.Rate * r.cfg.Warmup.Seconds())
	total := r.first + int(r.cfg.Rate*r.cfg.Duration.Seconds())
	r.due, r.seen = make([]time.Time, total), make([]uint8, total)
	r.kafka = newMemoryKafka([]string{"retail.sales", "retail.stock", "retail.reference"}, r.cfg.Partitions, r.deliver)
	key, err := wire.CreateKey(filepath.Join(dir, "pseudonym.key"))
	if err != nil {
		return err
	}
	r.node, err = assembly.Open(assembly.Config{
		Cluster: "bench", Dir: filepath.Join(dir, "node"), Key: key, Durability: r.cfg.Durability, HotMemory: hotMemory,
		Log:        slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		NewFetcher: func() (connectors.Fetcher, error) { return r.kafka, nil },
		NewSink:    func(node.SinkOptions) (connectors.Sink, error) { return r.kafka, nil },
	})
	return err
}

// run runs the node around the load.
func (r *decideRun) run(ctx context.Context, report *Report, progress io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	nodeDone := make(chan error, 1)
	go func() { nodeDone <- r.node.Run(ctx); cancel() }()
	watchDone := make(chan struct{})
	go func() { defer close(watchDone); r.watch(ctx) }()

	err := r.measure(ctx, report, progress)
	if err == nil {
		err = r.check(ctx, report)
	}
	cancel()
	<-watchDone
	if nodeErr := <-nodeDone; nodeErr != nil {
		return nodeErr
	}
	return err
}

// measure offers the load and waits for the last decision.
func (r *decideRun) measure(ctx context.Context, report *Report, progress io.Writer) error {
	if err := r.node.Ready(ctx); err != nil {
		return err
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	orders := make([][]byte, len(r.due))
	for i := range orders {
		orders[i] = r.shop.order(i)
	}
	fmt.Fprintf(progress, "offering %g orders/s for %v after a warm-up of %v\n", r.cfg.Rate, r.cfg.Duration, r.cfg.Warmup)
	var cpu float64
	began := time.Now()
	measured := began
	for i := 0; i < len(orders); {
		if i >= r.first && cpu == 0 {
			cpu, measured = cpuSeconds(), time.Now()
		}
		i = r.offer(began, orders, i)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	timeout := time.NewTimer(30 * time.Second)
	defer timeout.Stop()
	select {
	case <-r.allDone:
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout.C: // what is missing now counts as lost
	}
	report.CPUSeconds, report.RSSMiB = cpuSeconds()-cpu, rssMiB()
	r.mu.Lock()
	defer r.mu.Unlock()
	report.Events = int64(len(orders) - r.first)
	report.AchievedPerSecond = float64(report.Events) / r.last.Sub(measured).Seconds()
	report.Latency = latencyOf(r.latency)
	return nil
}

// offer appends the orders that are due by now and sleeps until the next one.
func (r *decideRun) offer(began time.Time, orders [][]byte, i int) int {
	due := func(n int) time.Time {
		return began.Add(time.Duration(float64(n) / r.cfg.Rate * float64(time.Second)))
	}
	if wait := time.Until(due(i)); wait > 0 {
		time.Sleep(wait)
	}
	now := time.Now()
	batches := make([][][]byte, r.cfg.Partitions)
	r.mu.Lock()
	for ; i < len(orders) && !due(i).After(now); i++ {
		r.due[i] = due(i)
		p := i % len(batches)
		batches[p] = append(batches[p], orders[i])
	}
	r.mu.Unlock()
	for p, b := range batches {
		if len(b) > 0 {
			r.kafka.append("retail.sales", int32(p), b...)
		}
	}
	return i
}

// prepare brings reference data and stock in and waits until they are applied.
func (r *decideRun) prepare(ctx context.Context) error {
	r.kafka.append("retail.reference", 0, r.shop.reference()...)
	counts := r.shop.counts()
	r.kafka.append("retail.stock", 0, counts...)
	for {
		status, err := r.node.Status(ctx)
		if err != nil {
			return err
		}
		for _, in := range status.Inputs {
			if in.Topic == "stock" && in.Partition == 0 && in.Next >= int64(len(counts)) {
				if in.Bad > 0 {
					return fmt.Errorf("%d opening counts were dead-lettered", in.Bad)
				}
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// watch times every decision as it is replicated.
func (r *decideRun) watch(ctx context.Context) {
	for w := range r.node.Watch(ctx) {
		n, ok := orderNumber(w.Record.Key)
		if !ok || w.Record.Topic != "allocations" || n >= len(r.due) {
			continue
		}
		now := time.Now()
		r.mu.Lock()
		r.last = now
		if n >= r.first {
			r.observed++
			record(r.latency, now.Sub(r.due[n]))
		}
		r.mu.Unlock()
	}
}

// deliver counts what reaches the output topics.
func (r *decideRun) deliver(out *connectors.OutRecord) {
	n, ok := orderNumber(string(out.Key))
	if !ok || out.Topic != "retail.allocations" || n >= len(r.seen) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[n] == 0 {
		r.decided++
	}
	r.seen[n]++
	if r.decided == len(r.seen) && r.seen[n] == 1 {
		close(r.allDone)
	}
}

// check counts what must not have happened.
func (r *decideRun) check(ctx context.Context, report *Report) error {
	r.count(&report.Checks)
	r.mu.Lock()
	unobserved := len(r.due) - r.first - r.observed
	r.mu.Unlock()
	if unobserved > int(report.Checks.Lost) {
		return fmt.Errorf("%d decisions were not timed: the watcher fell behind", unobserved)
	}
	var err error
	report.Checks.Oversold, err = oversold(ctx, r.node, r.cfg.Workload.SKUs)
	return err
}

// count adds up lost and doubled decisions.
func (r *decideRun) count(c *Checks) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.seen {
		switch {
		case n == 0:
			c.Lost++
		case n > 1:
			c.Doubled += int64(n - 1)
		}
	}
}
