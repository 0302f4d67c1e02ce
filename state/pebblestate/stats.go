package pebblestate

import "sync/atomic"

// Stats are numbers for metrics. Those that count events only grow.
type Stats struct {
	Applied, Written, Durable uint64 // indexes

	Hits      uint64 // cells found in memory
	Misses    uint64 // cells not found in memory
	Loads     uint64 // of them, those that were looked for in Pebble
	Fetches   uint64 // rows of large cells read one by one
	Partial   uint64 // loads of cells that were too large to load whole
	Evictions uint64 // cells evicted
	Trims     uint64 // times a large cell was evicted in part

	Cells    int64 // in memory
	HotBytes int64 // about what they take

	QueueEntries int    // waiting to be written
	QueueBytes   int64  // waiting or being written
	QueueWaits   uint64 // times Commit had to wait for room

	Batches    uint64 // written to Pebble
	Rows       uint64 // in those batches
	BatchBytes uint64
	Flushes    uint64
	Compacting int64  // bytes that compactions are behind, about
	DiskBytes  uint64 // on disk
}

// counters belong to the goroutine that applies entries; what others read is
// published after every entry.
type counters struct {
	uses, misses, loads, fetches, partial, evictions, trims uint64
	public                                                  struct {
		applied, uses, misses, loads, fetches, partial, evictions, trims atomic.Uint64
		cells, hot                                                       atomic.Int64
	}
}

func (c *counters) publish(s *Store) {
	p := &c.public
	p.applied.Store(s.applied)
	p.uses.Store(c.uses)
	p.misses.Store(c.misses)
	p.loads.Store(c.loads)
	p.fetches.Store(c.fetches)
	p.partial.Store(c.partial)
	p.evictions.Store(c.evictions)
	p.trims.Store(c.trims)
	p.cells.Store(int64(len(s.cells)))
	p.hot.Store(s.hot)
}

type writerStats struct{ batches, rows, bytes, flushes atomic.Uint64 }

func (w *writerStats) add(rows int, bytes int64) {
	w.batches.Add(1)
	w.rows.Add(uint64(rows))
	w.bytes.Add(uint64(bytes))
}

// Stats returns the numbers as of the last entry. It is safe for any goroutine
// until Close.
func (s *Store) Stats() Stats {
	p, w := &s.counts.public, &s.writer.stats
	m := s.db.Metrics()
	n := Stats{
		Applied: p.applied.Load(), Written: s.Written(), Durable: s.Durable(),
		Hits: p.uses.Load() - p.misses.Load(), Misses: p.misses.Load(), Loads: p.loads.Load(), Fetches: p.fetches.Load(), Partial: p.partial.Load(),
		Evictions: p.evictions.Load(), Trims: p.trims.Load(),
		Cells: p.cells.Load(), HotBytes: p.hot.Load(),
		Batches: w.batches.Load(), Rows: w.rows.Load(), BatchBytes: w.bytes.Load(), Flushes: w.flushes.Load(),
		Compacting: int64(m.Compact.EstimatedDebt), DiskBytes: m.DiskSpaceUsage(),
	}
	n.QueueEntries, n.QueueBytes, n.QueueWaits = s.queue.depth()
	return n
}
