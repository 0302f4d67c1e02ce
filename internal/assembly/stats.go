package assembly

import (
	"strconv"
	"sync"

	"anabranch.dev/internal/metrics"
	"anabranch.dev/state/pebblestate"
)

// watchedStore is a store whose numbers can be asked for at any time.
type watchedStore struct {
	*pebblestate.Store
	mu     sync.Mutex // held while the store is asked; guards closed
	closed bool
}

// watchStore shows what a group's state does: how often it finds rows in
// memory, and how far writing is behind.
func watchStore(m *metrics.Registry, group int, s *pebblestate.Store) *watchedStore {
	w := &watchedStore{Store: s}
	label := strconv.Itoa(group)
	m.Watch("state "+label, func(emit metrics.Emit) {
		w.scrape(func(name, help string, kind metrics.Kind, v float64) { emit(name, help, kind, v, "group", label) })
	})
	return w
}

// Close implements group.Store.
func (w *watchedStore) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	return w.Store.Close()
}

func (w *watchedStore) scrape(value func(name, help string, kind metrics.Kind, v float64)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	s := w.Stats()
	value("anabranch_state_hits_total", "Keys found in memory.", metrics.Counter, float64(s.Hits))
	value("anabranch_state_misses_total", "Keys loaded from disk.", metrics.Counter, float64(s.Misses))
	value("anabranch_state_evictions_total", "Keys evicted from memory.", metrics.Counter, float64(s.Evictions))
	value("anabranch_state_hot_bytes", "Decoded rows in memory, about.", metrics.Gauge, float64(s.HotBytes))
	value("anabranch_state_queue_entries", "Entries waiting to be written behind.", metrics.Gauge, float64(s.QueueEntries))
	value("anabranch_state_queue_bytes", "Rows waiting or being written behind.", metrics.Gauge, float64(s.QueueBytes))
	value("anabranch_state_flushes_total", "Flushes to disk.", metrics.Counter, float64(s.Flushes))
	value("anabranch_state_disk_bytes", "State on disk.", metrics.Gauge, float64(s.DiskBytes))
}
