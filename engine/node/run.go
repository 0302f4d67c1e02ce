package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Run serves until ctx ends, then stops in order: leaderships are handed over,
// then sources end, proposals in flight, log and state. It returns nil after an
// orderly stop, otherwise why the node had to stop. It closes the node. After
// [ErrStalled] nothing is closed.
func (n *Node) Run(ctx context.Context) error {
	var (
		loops, groups sync.WaitGroup
		mu            sync.Mutex // guards faults
		faults        []error
		stopped       = make(chan struct{}, len(n.slots)+4) // one for each note
	)
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			faults = append(faults, err)
		}
		stopped <- struct{}{}
	}
	groupCtx, stopGroups := context.WithCancel(context.WithoutCancel(ctx))
	defer stopGroups()
	groups.Go(func() {
		if !n.begin(groupCtx, note) {
			return
		}
		groups.Go(func() { n.lanes.run(groupCtx) })
		groups.Go(func() { n.mergeGroups(groupCtx) })
		groups.Go(func() { n.mover.run(groupCtx) })
		for _, s := range n.slots {
			groups.Go(func() { note(s.run(groupCtx)) })
		}
		for _, loop := range []func(context.Context) error{n.greetPeers, n.watchPeers, n.tendMembers} {
			groups.Go(func() {
				if err := loop(groupCtx); err != nil {
					note(err)
				}
			})
		}
	})
	inputCtx, stopInputs := context.WithCancel(ctx)
	defer stopInputs()
	loops.Go(func() {
		if err := n.inputs.run(inputCtx); err != nil {
			note(err)
		}
	})
	end := make(chan error, 1)
	go func() {
		select {
		case <-ctx.Done():
			n.handOver()
		case <-stopped:
		}
		stopInputs()
		loops.Wait()
		stopGroups()
		groups.Wait()
		end <- errors.Join(append(faults, n.release())...)
	}()
	select {
	case err := <-end:
		return err
	case err := <-n.stalled:
		return fmt.Errorf("%w: %w", ErrStalled, err)
	}
}

// stall has Run return at once, though a disk hangs.
func (n *Node) stall(err error) {
	select {
	case n.stalled <- err:
	default: // another group was first
	}
}

// begin waits until this node is a member of a formed cluster, and opens its
// replicas. It returns false if it can't, or if ctx ended.
func (n *Node) begin(ctx context.Context, note func(err error)) bool {
	if !n.awaitFormed(ctx) {
		return false
	}
	if n.slotsOpen {
		return true
	}
	if err := n.openSlots(); err != nil {
		note(err)
		return false
	}
	n.changed()
	return true
}

// greetPeers asks the other members how they are, again and again. An error
// means that this node's own directory can't be written.
func (n *Node) greetPeers(ctx context.Context) error {
	for hurried := 0; ; {
		if n.isAlone() {
			if !wait(ctx, greetEvery) {
				return nil
			}
			continue
		}
		if err := n.greetAll(ctx); err != nil {
			return err
		}
		n.changed()
		pause := greetEvery
		switch {
		case n.notReady() == "":
			hurried = 0
		case hurried < greetHurries:
			pause, hurried = greetSoon, hurried+1
		}
		if !wait(ctx, pause) {
			return nil
		}
	}
}

// watchPeers acts on what the other members say of addresses, clocks, digests
// and leaderships. It may take its time, while what they say stays fresh. An
// error means that this node's own directory can't be written.
func (n *Node) watchPeers(ctx context.Context) error {
	var compared time.Time
	balanced := time.Now()
	for {
		if n.isAlone() {
			if !wait(ctx, greetEvery) {
				return nil
			}
			continue
		}
		if !n.met.Load() {
			n.meet(ctx) // which of the addresses is ours?
		}
		if err := n.findMoved(ctx); err != nil {
			return err
		}
		n.watchClock(ctx)
		if time.Since(compared) >= n.cfg.digestEvery {
			n.compareDigests(ctx)
			compared = time.Now()
		}
		if time.Since(balanced) >= n.cfg.balanceEvery {
			n.balance(ctx)
			balanced = time.Now()
		}
		if !wait(ctx, greetEvery) {
			return nil
		}
	}
}

// findMoved looks for members that don't answer at the addresses to join: all
// nodes may have moved at once.
func (n *Node) findMoved(ctx context.Context) error {
	id := n.dir.now()
	lost := false
	for _, m := range id.Members {
		v := n.peers.of(m.ID)
		lost = lost || m.ID != n.cfg.ID && v != nil && !v.fresh() // nil: not asked yet
	}
	if !lost {
		return nil
	}
	for _, f := range n.meet(ctx) {
		if f.said == nil || f.said.ClusterID != id.ClusterID || f.said.Instance == n.instance {
			continue
		}
		if f.said.Peer == "" {
			f.said.Peer = f.address
		}
		if err := n.moved(f.said); err != nil {
			return err
		}
	}
	return nil
}

// Close releases a node that was never run.
func (n *Node) Close() error {
	var errs []error
	for _, s := range n.slots {
		if g := n.group(s.id); g != nil {
			errs = append(errs, g.Close())
		}
	}
	return errors.Join(append(errs, n.release())...)
}

// release gives port and directory back.
func (n *Node) release() error {
	var errs []error
	if n.port != nil {
		errs = append(errs, n.port.Close())
	}
	if n.dir != nil {
		errs = append(errs, n.dir.close())
	}
	return errors.Join(errs...)
}
