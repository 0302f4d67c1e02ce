package assembly

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/peer"
)

// Cluster is several nodes in this process, with real Raft between them on
// loopback ports.
type Cluster struct {
	Nodes []*Node // n1 and on
}

// OpenCluster opens n nodes, n1 and on. each shapes node i's configuration: its
// Dir and Key at least.
func OpenCluster(n int, each func(i int, cfg *Config)) (*Cluster, error) {
	c := &Cluster{}
	if err := c.open(n, each); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) open(n int, each func(i int, cfg *Config)) error {
	var listeners []net.Listener
	var join []string
	if n > 1 { // one tells nobody its address
		var err error
		if listeners, join, err = listenPeers(n); err != nil {
			return err
		}
	}
	for i := range n {
		cfg := Config{ID: fmt.Sprintf("n%d", i+1), Join: join}
		if n > 1 {
			cfg.Listener, cfg.Peer = listeners[i], join[i]
		}
		each(i, &cfg)
		opened, err := Open(cfg)
		if err != nil {
			return errors.Join(err, closeListeners(listeners[min(i, len(listeners)):]))
		}
		c.Nodes = append(c.Nodes, opened)
	}
	return nil
}

// closeListeners closes those that no node has closed.
func closeListeners(list []net.Listener) error {
	var faults []error
	for _, l := range list {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// listenPeers takes n free ports.
func listenPeers(n int) (listeners []net.Listener, addresses []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("peer port: %w", err), closeListeners(listeners))
		}
		listeners, addresses = append(listeners, l), append(addresses, l.Addr().String())
	}
	return listeners, addresses, nil
}

// Run serves until ctx ends, forming the cluster if it is new, then stops in
// order. A node that has to stop takes the others along, with its error.
func (c *Cluster) Run(ctx context.Context) error {
	nodes, ctx := errgroup.WithContext(ctx)
	for _, n := range c.Nodes {
		nodes.Go(func() error { return n.Run(ctx) })
	}
	if len(c.Nodes) > 1 { // one forms itself
		nodes.Go(func() error { return c.form(ctx) })
	}
	return nodes.Wait()
}

// initAgain is how often a cluster that can't be formed yet is tried.
const initAgain = 50 * time.Millisecond

// form makes a new cluster of the nodes, once they answer each other.
func (c *Cluster) form(ctx context.Context) error {
	again := time.NewTicker(initAgain)
	defer again.Stop()
	for {
		err := c.Nodes[0].Init(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case !errors.Is(err, connectors.ErrUnavailable) && !errors.Is(err, peer.ErrUnreachable):
			return fmt.Errorf("form cluster: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// Ready waits until every node is ready: a leader decides, and the others
// follow it. It returns early with ctx's error.
func (c *Cluster) Ready(ctx context.Context) error {
	for _, n := range c.Nodes {
		if err := n.Ready(ctx); err != nil {
			return fmt.Errorf("node %s: %w", n.ID, err)
		}
	}
	return nil
}

// Leader is the node that leads a group and serves, nil if there is none now.
func (c *Cluster) Leader(group int) *Node {
	for _, n := range c.Nodes {
		if n.leads(group) {
			return n
		}
	}
	return nil
}

// statusTimeout bounds how long a node that is busy or stops is asked.
const statusTimeout = 5 * time.Second

func (n *Node) leads(group int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	s, err := n.Status(ctx)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(s.Groups, func(g connectors.GroupStatus) bool {
		return g.Group == group && g.Role == roleLeader
	})
}

// roleLeader is the role of a replica that leads, as Status names it.
const roleLeader = "leader"

// Close releases a cluster that was never run.
func (c *Cluster) Close() error {
	var faults []error
	for _, n := range c.Nodes {
		faults = append(faults, n.Close())
	}
	return errors.Join(faults...)
}
