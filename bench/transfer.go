package bench

import (
	"context"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/topology/retail"
)

// transfers runs a cluster in this process, which lets it see what is replicated
// too, and has its leader hand over again and again.
func (r *failoverRun) transfers(ctx context.Context) error {
	report := r.report
	cluster, err := openOnKafka(&r.cfg.KafkaConfig, r.topics, r.dir)
	if err != nil {
		return err
	}
	return whileRunning(ctx, cluster, func(ctx context.Context) error {
		if err := cluster.Ready(ctx); err != nil {
			return err
		}
		if err := prepareTopics(ctx, r.topics, r.producer, &r.stream.shop, inputsOf(cluster)); err != nil {
			return err
		}
		replicated := &gapMeter{}
		defer watchAll(ctx, cluster, replicated)()
		times, before := &FailoverTimes{How: "transfer"}, elections(cluster)
		err := r.around(ctx, times, func(ctx context.Context) error {
			gaps, err := r.each(ctx, []*gapMeter{r.visible, replicated}, func(ctx context.Context) error { return handOver(ctx, cluster) })
			if err != nil {
				return err
			}
			times.Visible = summarise(gaps[0])
			seen := summarise(gaps[1])
			times.Replicated = &seen
			return nil
		})
		if err != nil {
			return err
		}
		times.Elections = elections(cluster) - before
		report.LeaderChanges = times.Elections - int64(r.cfg.Times)
		report.RSSMiB = ownRSS()
		report.Checks.Oversold, err = oversold(ctx, leaderOf(cluster), r.cfg.Workload.SKUs)
		return err
	})
}

// handOver has the leader transfer to any other node, and waits until one leads.
func handOver(ctx context.Context, c *assembly.Cluster) error {
	old := leaderOf(c)
	if err := old.Transfer(ctx, 0, ""); err != nil {
		return err
	}
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		if n := c.Leader(0); n != nil && n != old {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

// watchAll notes every decision as soon as any node has applied it, until stop.
func watchAll(ctx context.Context, c *assembly.Cluster, m *gapMeter) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{}, len(c.Nodes))
	for _, n := range c.Nodes {
		go func() {
			defer func() { done <- struct{}{} }()
			noteAll(n.Watch(ctx), m)
		}()
	}
	return func() {
		cancel()
		for range c.Nodes {
			<-done
		}
	}
}

func noteAll(records <-chan connectors.Watched, m *gapMeter) {
	for w := range records {
		if n, ok := orderNumber(w.Record.Key); ok && w.Record.Topic == retail.TopicAllocations {
			m.note(n, time.Now())
		}
	}
}
