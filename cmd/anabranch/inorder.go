package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// activity is what a process runs beside others: it returns soon after ctx ends, or
// when it can't go on.
type activity func(ctx context.Context) error

// inOrder runs the nodes and what talks to them until ctx ends or one of them
// fails, then stops in order: first what talks to the nodes, then the nodes.
// stopping is called when ctx ends.
func inOrder(ctx context.Context, nodes activity, clients []activity, stopping func()) error {
	outer, stopOuter := context.WithCancel(ctx)
	defer stopOuter()
	inner, stopInner := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInner()

	var running errgroup.Group
	running.Go(func() error {
		defer stopOuter() // nodes that end take the rest along
		return nodes(inner)
	})
	talking, talkCtx := errgroup.WithContext(outer)
	for _, c := range clients {
		talking.Go(func() error { return c(talkCtx) })
	}
	<-talkCtx.Done()
	if ctx.Err() != nil {
		stopping()
	}
	err := talking.Wait()
	stopInner()
	return errors.Join(err, running.Wait())
}

// closers is what is to be closed at the end, in reverse order.
type closers []func() error

func (c *closers) onClose(fn func() error) { *c = append(*c, fn) }

func (c *closers) close() error {
	var faults []error
	for _, fn := range slices.Backward(*c) {
		faults = append(faults, fn())
	}
	*c = nil
	return errors.Join(faults...)
}

// oneFault says a full disk in one line: every part complains about it in its
// own words.
func oneFault(dir string, err error) error {
	if err == nil || dir == "" || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return err
	}
	return fmt.Errorf("data directory %s: %w; free some and start again, nothing that was decided is lost", dir, syscall.ENOSPC)
}
