package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/node"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/topology/retail"
)

// decideRun is one run while it lasts.
type decideRun struct {
	cfg     Config
	shop    shop
	kafka   *memoryKafka
	orders  []*memoryPartition // of sales, the n-th order is in n modulo their number
	cluster *assembly.Cluster
	seen    *tally // what has reached the output topic
	watch   *observer
	leaders chan string // who has begun to lead

	tenureMu sync.Mutex // guards tenures
	tenures  int64
}

// Decide measures an event in memory → its decision replicated, from encoded
// record bytes, without a broker; everything else is real.
func Decide(ctx context.Context, cfg Config, progress io.Writer) (*Report, error) {
	return decide(ctx, "decide", cfg, progress)
}

func decide(ctx context.Context, what string, cfg Config, progress io.Writer) (*Report, error) {
	cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir, remove, err := cfg.directory()
	if err != nil {
		return nil, err
	}
	defer remove()
	assembly.Tune(memoryLimit)
	report := newReport(what, &cfg)
	if report.Fdatasync, err = measureDisk(dir); err != nil {
		return nil, err
	}
	r := newDecideRun(cfg)
	if err := r.open(dir); err != nil {
		return nil, err
	}
	return report, r.run(ctx, report, progress)
}

// newDecideRun makes all events.
func newDecideRun(cfg Config) *decideRun {
	r := &decideRun{cfg: cfg, shop: shop{w: cfg.Workload, began: time.Now()}, leaders: make(chan string, 64),
		seen: newTally(cfg.total(), cfg.tamper), watch: newObserver(&cfg)}
	names := retail.DefaultTopics()
	sales, stock, places := names[retail.TopicSales], names[retail.TopicStock], names[retail.TopicReference]
	r.kafka = newMemoryKafka([]string{sales, stock, places}, cfg.Partitions)
	r.kafka.delivered = func(out *connectors.OutRecord) {
		if out.Topic == names[retail.TopicAllocations] {
			r.seen.add(out)
		}
	}
	r.kafka.opened = r.leads
	for _, e := range r.shop.reference() {
		r.kafka.partition(places, 0).add(e.value)
	}
	for _, e := range r.shop.counts() {
		r.kafka.partition(stock, 0).add(e.value)
	}
	for p := range cfg.Partitions {
		r.orders = append(r.orders, r.kafka.partition(sales, p))
	}
	for n := range cfg.total() {
		r.orders[n%len(r.orders)].add(r.shop.order(n))
	}
	return r
}

// open prepares the nodes.
func (r *decideRun) open(dir string) error {
	shape, err := shapeNodes(&r.cfg, dir)
	if err != nil {
		return err
	}
	r.cluster, err = assembly.OpenCluster(r.cfg.Nodes, func(i int, cfg *assembly.Config) {
		shape(i, cfg)
		id := cfg.ID
		cfg.NewFetcher = func() (connectors.Fetcher, error) { return r.kafka.fetcher(), nil }
		cfg.NewSink = func(node.SinkOptions) (connectors.Sink, error) { return r.kafka.sink(id), nil }
	})
	return err
}

// leads is told who delivers now, and so leads.
func (r *decideRun) leads(node string, tenures int64) {
	r.tenureMu.Lock()
	r.tenures = tenures
	r.tenureMu.Unlock()
	select {
	case r.leaders <- node:
	default: // far more changes than a run can bear: it fails for what was not timed
	}
}

func (r *decideRun) changes() int64 {
	r.tenureMu.Lock()
	defer r.tenureMu.Unlock()
	return r.tenures
}

// run runs the nodes around the load.
func (r *decideRun) run(ctx context.Context, report *Report, progress io.Writer) error {
	return whileRunning(ctx, r.cluster, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		watchDone := make(chan struct{})
		go func() {
			defer close(watchDone)
			r.watch.run(ctx, r.leaders, r.node)
		}()
		err := r.measure(ctx, report, progress)
		if err == nil {
			report.Checks.Oversold, err = oversold(ctx, leaderOf(r.cluster), r.cfg.Workload.SKUs)
		}
		cancel()
		<-watchDone
		if err == nil {
			r.account(report)
		}
		return err
	})
}

// node is the one with an id.
func (r *decideRun) node(id string) connectors.Cluster {
	for _, n := range r.cluster.Nodes {
		if n.ID == id {
			return n
		}
	}
	return r.cluster.Nodes[0]
}

// measure offers the load and waits for the last decision.
func (r *decideRun) measure(ctx context.Context, report *Report, progress io.Writer) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(progress, "offering %g orders/s for %v after a warm-up of %v\n", r.cfg.Rate, r.cfg.Duration, r.cfg.Warmup); err != nil {
		return err
	}
	s := schedule{rate: r.cfg.Rate, began: time.Now()}
	r.watch.begin(s)
	if _, err := s.part(0, r.cfg.warmups()).offer(ctx, r.show); err != nil {
		return err
	}
	m := beginMeasure(r.cluster, r.changes())
	busy, err := s.part(r.cfg.warmups(), r.cfg.total()).offer(ctx, r.show)
	if err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	m.end(report, busy, r.changes())
	return nil
}

// show lets orders arrive.
func (r *decideRun) show(from, to int) error {
	for n := from; n < to; n++ {
		r.orders[n%len(r.orders)].show(1)
	}
	r.kafka.wake()
	return nil
}

// prepare brings reference data and stock in and waits until they are applied.
func (r *decideRun) prepare(ctx context.Context) error {
	if err := r.cluster.Ready(ctx); err != nil {
		return err
	}
	names := retail.DefaultTopics()
	for _, topic := range []string{names[retail.TopicReference], names[retail.TopicStock]} {
		p := r.kafka.partition(topic, 0)
		p.show(len(p.ends))
		r.kafka.wake()
		if err := awaitInput(ctx, inputsOf(r.cluster), topic, int64(len(p.ends))); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until every order is decided and delivered. What is missing when
// nothing has come for a while counts as lost.
func (r *decideRun) settle(ctx context.Context) error {
	return r.cfg.whileMoving(ctx, r.cfg.total(), r.seen.distinct)
}

// account completes the report.
func (r *decideRun) account(report *Report) {
	r.seen.count(&report.Checks)
	r.watch.late(r.seen)
	r.watch.report(report)
	r.seen.report(report, r.watch.began.Load().began)
	w := r.cfg.Workload
	report.Checks.Oversold += max(0, report.Outcomes.Allocated-w.Units*int64(w.SKUs)*int64(w.Locations))
}

// whileRunning runs a cluster around fn.
func whileRunning(ctx context.Context, c *assembly.Cluster, fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- c.Run(ctx)
		cancel() // fn has nothing to wait for any more
	}()
	err := fn(ctx)
	cancel()
	if nodes := <-done; nodes != nil {
		return errors.Join(nodes, err)
	}
	return err
}
