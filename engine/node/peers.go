package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"anabranch.dev/engine/group"
)

const (
	greetEvery   = time.Second           // the other members are asked how they are
	greetTimeout = time.Second           // and how long they may take
	greetSoon    = 50 * time.Millisecond // the same while this node gets ready
	greetHurries = 50                    // but not for ever
	viewFresh    = 4 * time.Second       // how long an answer is believed
)

// peers is what this node knows of the others.
type peers struct {
	mu    sync.Mutex // guards what follows
	views map[string]*view
}

// view is what another member has said last.
type view struct {
	said    *hello // nil: never
	at      time.Time
	ahead   time.Duration     // of its clock before ours
	commit  map[uint64]uint64 // by group, as of the answer before
	behind  map[uint64]uint64 // by group, entries that we had committed then and it had not applied
	fault   string            // why the last call failed, "" if it did not
	differs string            // in which settings it differs from this node
}

// fresh says whether the member answered a moment ago.
func (v *view) fresh() bool {
	return v != nil && v.said != nil && v.fault == "" && time.Since(v.at) < viewFresh
}

// replica is what a member said of its replica of a group.
func (h *hello) replica(group int) *replicaView {
	for i := range h.Replicas {
		if h.Replicas[i].Group == uint64(group) {
			return &h.Replicas[i]
		}
	}
	return nil
}

// lag is how far the member's replica of a group was behind this node.
func (v *view) lag(group int) (entries uint64, ok bool) {
	if !v.fresh() {
		return 0, false
	}
	entries, ok = v.behind[uint64(group)]
	return entries, ok
}

// heard notes an answer. It returns what was known before.
func (p *peers) heard(node string, next *view) (before view) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next.at, next.commit = time.Now(), map[uint64]uint64{}
	if old := p.views[node]; old != nil {
		before = *old
		if old.said != nil {
			for _, r := range old.said.Replicas {
				next.commit[r.Group] = r.Commit
			}
		}
	}
	p.views[node] = next
	return before
}

// missed notes that a member did not answer, and reports whether that is news.
func (p *peers) missed(node string, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := &view{}
	if old := p.views[node]; old != nil {
		*next = *old
	}
	news := next.fault == ""
	next.fault = err.Error()
	p.views[node] = next
	return news
}

// of is what is known of a member, nil for nothing. It is not changed any more.
func (p *peers) of(node string) *view {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.views[node]
}

// serving names the node that says it leads a group, "" for none.
func (p *peers) serving(group int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	leader, index := "", uint64(0)
	for node, v := range p.views {
		if !v.fresh() {
			continue
		}
		// Of two that say so, the one with more in its log was elected later.
		if r := v.said.replica(group); r != nil && r.Serves && r.Commit >= index {
			leader, index = node, r.Commit
		}
	}
	return leader
}

// committed is the highest index that a member had committed when it was last
// asked but once, so that a replica which keeps up has reached it. ok is false
// while nobody has answered.
func (p *peers) committed(group int) (index uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.views {
		if !v.fresh() {
			continue
		}
		r := v.said.replica(group)
		if r == nil || !r.Healthy {
			continue
		}
		c, twice := v.commit[r.Group]
		if !twice {
			c = r.Commit
		}
		index, ok = max(index, c), true
	}
	return index, ok
}

// greet asks a member how it is.
func (n *Node) greet(ctx context.Context, node string) (*view, error) {
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	sent, start := n.cfg.wall(), time.Now()
	h, err := call[hello](ctx, n, node, callHello, n.hello())
	took := time.Since(start)
	if err == nil {
		err = n.mustBeMember(node, h)
	}
	if err != nil {
		if n.peers.missed(node, err) && ctx.Err() != context.Canceled {
			n.cfg.Log.Warn("node does not answer", "node", node, "err", err)
		}
		return nil, err
	}
	ahead := time.UnixMicro(h.Wall).Sub(sent.Add(took / 2))
	behind := map[uint64]uint64{}
	n.each(func(id int, g *group.Group) {
		if r := h.replica(id); r != nil {
			behind[r.Group] = max(g.Commit(), r.Applied) - r.Applied
		}
	})
	next := &view{said: h, ahead: ahead, behind: behind}
	if h.Stage == string(stageFormed) {
		own := settingsOf(&n.cfg)
		next.differs = strings.Join(own.differences(&h.Settings), "; ")
	}
	before := n.peers.heard(node, next)
	if before.fault != "" {
		n.cfg.Log.Info("node answers again", "node", node)
	}
	if next.differs != "" && next.differs != before.differs {
		n.cfg.Log.Error("node has other settings: whoever leads goes by its own", "node", node, "differs", next.differs)
	}
	return n.peers.of(node), errors.Join(n.moved(h), n.learnFrom(h))
}

// mustBeMember refuses an answer of somebody else at a member's address.
func (n *Node) mustBeMember(node string, h *hello) error {
	id := n.dir.now()
	switch {
	case h.Node != node:
		return fmt.Errorf("node %s is at the address of node %s", h.Node, node)
	case h.Stage == string(stageFormed) && h.ClusterID != id.ClusterID:
		return fmt.Errorf("node %s is a member of another cluster with the same name", node)
	}
	return nil
}

// moved keeps where a member can be reached, if it is elsewhere now.
func (n *Node) moved(h *hello) error {
	id := n.dir.now()
	m := id.member(h.Node)
	if m == nil || (h.Peer == "" || m.Peer == h.Peer) && m.HTTP == h.HTTP {
		return nil
	}
	n.cfg.Log.Info("node has other addresses", "node", h.Node, "peer", h.Peer, "http", h.HTTP)
	return n.dir.change(func(id *identity) error {
		if m := id.member(h.Node); m != nil {
			m.HTTP = h.HTTP
			if h.Peer != "" {
				m.Peer = h.Peer
			}
		}
		return nil
	})
}

// greetAll asks all other members, side by side.
func (n *Node) greetAll(ctx context.Context) error {
	id := n.dir.now()
	var asked sync.WaitGroup
	faults := make(chan error, len(id.Members))
	for _, m := range id.Members {
		if m.ID == n.cfg.ID {
			continue
		}
		asked.Go(func() {
			if v, err := n.greet(ctx, m.ID); v != nil && err != nil {
				faults <- err // the address can't be written down
			}
		})
	}
	asked.Wait()
	select {
	case err := <-faults:
		return err
	default:
		return nil
	}
}

// greeted answers another node that asks how this one is. What it says of its
// own addresses is taken down: it may have moved where nobody finds it.
func (n *Node) greeted(from string, q *hello) *hello {
	id := n.dir.now()
	if id.Stage == stageFormed && q.Node == from && q.ClusterID == id.ClusterID {
		if err := errors.Join(n.moved(q), n.learnFrom(q)); err != nil {
			n.cfg.Log.Warn("address of a node, or list of members, not kept", "node", from, "err", err)
		}
	}
	return n.hello()
}

// hello is what this node says of itself.
func (n *Node) hello() *hello {
	id := n.dir.now()
	h := &hello{
		Node: n.cfg.ID, Instance: n.instance, Peer: n.advertised(), HTTP: n.cfg.HTTP, Version: n.cfg.Version,
		Wall: n.cfg.wall().UnixMicro(), Settings: settingsOf(&n.cfg),
		Stage: string(id.Stage), ClusterID: id.ClusterID, Members: id.Members, Changes: id.Version, Gone: id.Gone,
	}
	h.Incarnation, h.Snapshot = id.life().incarnation, id.life().snapshot
	h.Knows, h.Level = n.cfg.knows, id.Level
	if id.Stage == stageFormed {
		for _, s := range n.slots {
			h.Replicas = append(h.Replicas, s.view())
		}
	}
	return h
}

// resolve says where a node can be reached.
func (n *Node) resolve(node string) (string, error) {
	if node == n.cfg.ID {
		return n.PeerAddr(), nil
	}
	id := n.dir.now()
	if m := id.member(node); m != nil {
		return m.Peer, nil
	}
	return "", fmt.Errorf("node %s is not a member of this cluster", node)
}

// admits says whether a node may talk to this one: before there is a cluster
// anybody, to find out whether it will be a member.
func (n *Node) admits(node string) bool {
	id := n.dir.now()
	return id.Stage == stageNew || id.Stage == stageForming || id.member(node) != nil
}

// knew says whether a node was a member: it may ask what has become of it.
func (n *Node) knew(node string) bool { return slices.Contains(n.dir.now().Gone, node) }
