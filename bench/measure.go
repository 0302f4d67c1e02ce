package bench

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/internal/assembly"
)

// shapeNodes gives the nodes of a cluster in this process what they share and
// where they keep their data.
func shapeNodes(c *Config, dir string) (func(i int, cfg *assembly.Config), error) {
	key, err := wire.CreateKey(filepath.Join(dir, "pseudonym.key"))
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return func(_ int, cfg *assembly.Config) {
		cfg.Cluster, cfg.Key, cfg.Durability, cfg.HotMemory = "bench", key, c.Durability, hotMemory
		cfg.Dir, cfg.Log = filepath.Join(dir, cfg.ID), log.With("node", cfg.ID)
	}, nil
}

// inputPosition is how far an input partition is applied.
type inputPosition struct {
	Name      string `json:"name"`
	Partition int32  `json:"partition"`
	Next      int64  `json:"next"`
	Bad       int64  `json:"dead_letters"`
}

// inputsOf asks a cluster in this process.
func inputsOf(c *assembly.Cluster) func(ctx context.Context) ([]inputPosition, error) {
	return func(ctx context.Context) ([]inputPosition, error) {
		status, err := leaderOf(c).Status(ctx)
		if err != nil {
			return nil, err
		}
		list := make([]inputPosition, len(status.Inputs))
		for i, in := range status.Inputs {
			list[i] = inputPosition{Name: in.Name, Partition: in.Partition, Next: in.Next, Bad: in.Bad}
		}
		return list, nil
	}
}

// leaderOf is the node that leads, or any while none does.
func leaderOf(c *assembly.Cluster) *assembly.Node {
	if n := c.Leader(0); n != nil {
		return n
	}
	return c.Nodes[0]
}

// awaitInput waits until the first partition of an input topic is applied up to
// an offset.
func awaitInput(ctx context.Context, inputs func(ctx context.Context) ([]inputPosition, error), topic string, next int64) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		list, err := inputs(ctx)
		if err != nil {
			return err
		}
		for _, in := range list {
			if in.Name == topic && in.Bad > 0 {
				return fmt.Errorf("%d records of %s were dead-lettered", in.Bad, topic)
			}
			if in.Name == topic && in.Partition == 0 && in.Next >= next {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

// whileMoving waits until a count is reached, or until nothing was added to it
// for as long as patience lasts.
func (c *Config) whileMoving(ctx context.Context, enough int, count func() int) error {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	most, moved := -1, time.Now()
	for {
		n := count()
		switch {
		case n >= enough:
			return nil
		case n > most:
			most, moved = n, time.Now()
		case time.Since(moved) > c.patience:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

// measure is what the process had used when the clock began.
type measure struct {
	cluster *assembly.Cluster
	cpu     float64
	gc      gcState
	batch   Batch
	leaders int64
}

func beginMeasure(c *assembly.Cluster, leaders int64) measure {
	return measure{cluster: c, cpu: cpuSeconds(), gc: readGC(), batch: readBatch(c), leaders: leaders}
}

// end reports what was used since.
func (m measure) end(r *Report, busy time.Duration, leaders int64) {
	r.CPUSeconds, r.GeneratorCPUSeconds = round(cpuSeconds()-m.cpu), micros(busy)/1e6
	r.GC, r.RSSMiB, r.LeaderChanges = readGC().since(m.gc), ownRSS(), leaders-m.leaders
	now := readBatch(m.cluster)
	b := Batch{Entries: now.Entries - m.batch.Entries}
	if n := float64(b.Entries); n > 0 {
		b.EventsPerEntry = round((now.EventsPerEntry - m.batch.EventsPerEntry) / n)
		b.BytesPerEntry = round((now.BytesPerEntry - m.batch.BytesPerEntry) / n)
	}
	r.Batch = &b
}

// readBatch adds up what all nodes have proposed: entries, and the sums of
// their events and bytes.
func readBatch(c *assembly.Cluster) (b Batch) {
	for _, n := range c.Nodes {
		events, entries := n.Metrics.Total("anabranch_group_entry_events")
		bytes, _ := n.Metrics.Total("anabranch_group_entry_bytes")
		b.Entries += int64(entries)
		b.EventsPerEntry += events
		b.BytesPerEntry += bytes
	}
	return b
}
