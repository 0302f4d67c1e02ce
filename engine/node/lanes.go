package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

const (
	// laneBytes is how much of what is for one node goes into one call.
	laneBytes = 4 << 20
	// laneQueue is how much waits for one node at most. What finds no room, or
	// is lost with its call, is sent again by the group that sent it.
	laneQueue = 16 << 20
	// laneTimeout bounds a call: what is behind it would wait as long.
	laneTimeout = 2 * time.Second
)

// lanes carries what groups have for each other: messages and their
// acknowledgements, to the node whose replica leads the group concerned. Each
// node is sent one call at a time, with all that has gathered meanwhile, so that
// a lane's messages arrive in order.
type lanes struct {
	n        *Node
	couriers atomic.Pointer[map[string]*courier] // by node; nil before run
}

// courier is what waits for one node.
type courier struct {
	wake    chan struct{}
	dismiss context.CancelFunc // ends it, when the node is no member any more

	mu    sync.Mutex // guards what follows
	items []laneItem
	bytes int
}

type laneItem struct {
	lane  *core.Lane // nil: an acknowledgement
	ack   core.LaneAck
	bytes int
}

func newLanes(n *Node) *lanes { return &lanes{n: n} }

// run carries to all other members, whoever they are, until ctx ends.
func (l *lanes) run(ctx context.Context) {
	var senders sync.WaitGroup
	defer senders.Wait()
	couriers := map[string]*courier{}
	for ctx.Err() == nil {
		change := l.n.change()
		id := l.n.dir.now()
		next := map[string]*courier{}
		for _, m := range id.Members {
			if m.ID == l.n.cfg.ID {
				continue
			}
			c := couriers[m.ID]
			if c == nil {
				c = &courier{wake: make(chan struct{}, 1)}
				var own context.Context
				own, c.dismiss = context.WithCancel(ctx)
				senders.Go(func() { l.carry(own, m.ID, c) })
			}
			next[m.ID] = c
		}
		for node, c := range couriers {
			if next[node] == nil {
				c.dismiss()
			}
		}
		couriers = next
		l.couriers.Store(&next)
		select {
		case <-ctx.Done():
		case <-change:
		}
	}
	for _, c := range couriers {
		c.dismiss()
	}
}

// send takes messages for the leader of the group that has the target shard.
func (l *lanes) send(m *core.Lane) {
	id := l.n.groupOf(state.Shard(m.To))
	if g := l.n.group(id); g != nil && g.Leading() {
		g.Lane(m)
		return
	}
	l.put(id, laneItem{lane: m, bytes: l.n.cfg.Codec.Size(core.Level, m)})
}

// acknowledge takes the news for the leader of the group that sent the messages.
func (l *lanes) acknowledge(a core.LaneAck) {
	id := l.n.groupOf(state.Shard(a.From))
	if g := l.n.group(id); g != nil && g.Leading() {
		g.LaneAcked(a)
		return
	}
	l.put(id, laneItem{ack: a, bytes: l.n.cfg.Codec.Size(core.Level, &a)})
}

// put leaves something for the node that leads a group. While none does, or it
// has too much waiting, it is dropped: its sender tries again.
func (l *lanes) put(id int, it laneItem) {
	couriers := l.couriers.Load()
	if couriers == nil {
		return
	}
	c := (*couriers)[l.n.leaderOf(id)]
	if c == nil {
		return
	}
	c.mu.Lock()
	if c.bytes > 0 && c.bytes+it.bytes > laneQueue {
		c.mu.Unlock()
		return
	}
	c.items, c.bytes = append(c.items, it), c.bytes+it.bytes
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// carry sends what comes for a node, until ctx ends.
func (l *lanes) carry(ctx context.Context, node string, c *courier) {
	for {
		q := c.take()
		if q == nil {
			select {
			case <-ctx.Done():
				return
			case <-c.wake:
			}
			continue
		}
		if err := l.call(ctx, node, q); err != nil {
			if ctx.Err() != nil {
				return
			}
			// What it held is sent again, what has gathered is as old: a node
			// that comes back is not to begin with it.
			l.n.cfg.Log.Debug("lane messages not delivered", "node", node, "err", err)
			c.drop()
		}
	}
}

func (l *lanes) call(ctx context.Context, node string, q *lanesRequest) error {
	ctx, cancel := context.WithTimeout(ctx, laneTimeout)
	defer cancel()
	_, err := call[nothing](ctx, l.n, node, callLanes, q)
	return err
}

// take cuts what goes into one call, nil if there is nothing.
func (c *courier) take() *lanesRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.items) == 0 {
		return nil
	}
	q := &lanesRequest{}
	bytes, n := 0, 0
	for _, it := range c.items {
		if n > 0 && bytes+it.bytes > laneBytes {
			break
		}
		if it.lane != nil {
			q.Lanes = append(q.Lanes, *it.lane)
		} else {
			q.Acks = append(q.Acks, it.ack)
		}
		bytes, n = bytes+it.bytes, n+1
	}
	clear(c.items[:n])
	c.items, c.bytes = c.items[n:], c.bytes-bytes
	return q
}

func (c *courier) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items, c.bytes = nil, 0
}

// lanesHere hands over what another node has sent. What is for a group that is
// not led here any more is dropped: its sender finds the leader.
func (n *Node) lanesHere(q *lanesRequest) *nothing {
	for i := range q.Lanes {
		m := &q.Lanes[i]
		if id := n.groupOf(state.Shard(m.To)); id < n.cfg.Groups {
			if g := n.group(id); g != nil {
				g.Lane(m)
			}
		}
	}
	for _, a := range q.Acks {
		if id := n.groupOf(state.Shard(a.From)); id < n.cfg.Groups {
			if g := n.group(id); g != nil {
				g.LaneAcked(a)
			}
		}
	}
	return &nothing{}
}
