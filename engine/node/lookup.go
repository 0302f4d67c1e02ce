package node

import (
	"context"
	"errors"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/group"
)

// commit tells Kafka how far we are, for lag dashboards; nobody reads it back.
func (in *inputs) commit(ctx context.Context) {
	told := map[connectors.PartitionID]int64{}
	var last error
	for wait(ctx, commitEvery) {
		next := map[connectors.PartitionID]int64{}
		in.n.each(func(_ int, g *group.Group) {
			if !g.Leading() {
				return
			}
			for _, p := range g.Partitions() {
				id := in.input(p.Partition, 0).ID
				if before, ok := told[id]; !ok || before != p.Next {
					next[id] = p.Next
				}
			}
		})
		if len(next) == 0 {
			continue
		}
		err := in.lookUp(func(f connectors.Fetcher) error { return f.CommitOffsets(ctx, next) })
		if err == nil {
			for id, offset := range next {
				told[id] = offset
			}
		} else if ctx.Err() == nil && (last == nil || last.Error() != err.Error()) {
			in.n.cfg.Log.Warn("offsets not shown in kafka", "err", err)
		}
		last = err
	}
}

// errNoInputs: the node has no connection to read from.
var errNoInputs = errors.New("this node has no inputs")

// lookUp calls fn with a connection beside the one that polls.
func (in *inputs) lookUp(fn func(f connectors.Fetcher) error) error {
	if in.n.cfg.NewFetcher == nil {
		return errNoInputs
	}
	in.lookMu.Lock()
	defer in.lookMu.Unlock()
	if in.look == nil {
		f, err := in.n.cfg.NewFetcher()
		if err != nil {
			return err
		}
		in.look = f
	}
	return fn(in.look)
}

func (in *inputs) closeLook() {
	in.lookMu.Lock()
	defer in.lookMu.Unlock()
	if in.look != nil {
		in.look.Close()
		in.look = nil
	}
}
