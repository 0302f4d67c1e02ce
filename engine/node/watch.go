package node

import (
	"context"
	"sync"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
)

// watchBuffer is how many records a watcher may be behind before it loses some.
const watchBuffer = 4096

// watchers are told every outgoing record as it is replicated.
type watchers struct {
	mu  sync.Mutex // guards what follows
	all map[*watcher]struct{}
}

type watcher struct {
	ch   chan connectors.Watched
	lost int
}

// Watch implements [connectors.Cluster].
func (n *Node) Watch(ctx context.Context) <-chan connectors.Watched {
	w := &watcher{ch: make(chan connectors.Watched, watchBuffer)}
	n.watchers.mu.Lock()
	if n.watchers.all == nil {
		n.watchers.all = map[*watcher]struct{}{}
	}
	n.watchers.all[w] = struct{}{}
	n.watchers.mu.Unlock()
	context.AfterFunc(ctx, func() {
		n.watchers.mu.Lock()
		defer n.watchers.mu.Unlock()
		delete(n.watchers.all, w)
		close(w.ch) // nobody sends any more: senders hold the lock
	})
	return w.ch
}

// publish is called by groups' apply goroutines.
func (s *watchers) publish(records []*operators.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.all {
		for _, r := range records {
			select {
			case w.ch <- connectors.Watched{Record: r, Lost: w.lost}:
				w.lost = 0
			default:
				w.lost++
			}
		}
	}
}
