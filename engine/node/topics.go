package node

import (
	"context"
	"slices"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
)

// describe keeps the groups' lists of inputs current, until ctx ends.
func (in *inputs) describe(ctx context.Context, f connectors.Fetcher) {
	var last time.Time
	for ctx.Err() == nil {
		change := in.n.change()
		if time.Since(last) >= describeEvery {
			err := in.ask(ctx, f)
			if ctx.Err() != nil {
				return
			}
			in.note(err)
			if err != nil {
				wait(ctx, pollPause)
				continue
			}
			last = time.Now()
		}
		if !in.assign(ctx) {
			wait(ctx, pollPause)
			continue
		}
		timer := time.NewTimer(time.Until(last.Add(describeEvery)))
		select {
		case <-ctx.Done():
		case <-change:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// ask looks the topics up.
func (in *inputs) ask(ctx context.Context, f connectors.Fetcher) error {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	var names []string
	for _, alias := range in.aliases {
		names = append(names, in.n.cfg.Topics[alias])
	}
	infos, err := f.Describe(ctx, names)
	if err != nil {
		return err
	}
	topics := map[string]connectors.TopicInfo{}
	for _, info := range infos {
		topics[in.alias[info.Name]] = info
	}
	var missing []string
	for _, alias := range in.aliases {
		if _, ok := topics[alias]; !ok {
			missing = append(missing, in.n.cfg.Topics[alias])
		}
	}
	in.mu.Lock()
	news := !slices.Equal(in.missing, missing)
	in.topics, in.missing, in.known = topics, missing, true
	clear(in.changed)
	in.served = make([]uint64, in.n.cfg.Groups) // lists may have grown
	in.mu.Unlock()
	if news && len(missing) > 0 {
		in.n.cfg.Log.Warn("input topics don't exist", "topics", missing)
	}
	return nil
}

// assign tells every group that leads here what it reads, and lets the other
// topics in once the first ones are read everywhere. It returns false if it has to
// be called again soon: what other groups have open is not known.
func (in *inputs) assign(ctx context.Context) (sure bool) {
	in.mu.Lock()
	ready := in.known && (in.n.cfg.Clock != ClockReplay || len(in.missing) == 0)
	in.mu.Unlock()
	if !ready {
		return true
	}
	tenures := make([]uint64, in.n.cfg.Groups)
	read := true
	sure = true
	for id := range tenures {
		g := in.n.group(id)
		if g == nil {
			read = read && in.n.firstRead(id)
			continue
		}
		var leads bool
		if tenures[id], leads = g.Tenure(); !leads {
			read = read && in.n.firstRead(id)
			continue
		}
		key := tenures[id] + g.ShardChanges() // a shard that came brings its partitions
		in.mu.Lock()
		news := in.served[id] != key
		in.served[id] = key
		in.mu.Unlock()
		if news {
			list, known := in.choose(ctx, id, g)
			g.SetInputs(list)
			if !known {
				in.mu.Lock()
				in.served[id] = 0
				in.mu.Unlock()
				sure, read = false, false
				continue
			}
		}
		first, err := g.FirstRead(ctx)
		in.mu.Lock()
		if first && err == nil {
			in.first[id] = tenures[id]
		}
		in.mu.Unlock()
		read = read && first && err == nil
	}
	if sure {
		in.noteUnsure(nil)
	}
	if !read {
		return sure
	}
	in.mu.Lock()
	news := !slices.Equal(in.opened, tenures)
	in.opened = tenures
	in.mu.Unlock()
	if news {
		in.n.each(func(_ int, g *group.Group) { g.OpenInputs() })
		in.n.changed()
	}
	return sure
}

func (in *inputs) input(p core.Partition, start int64) group.Input {
	return group.Input{Partition: p, Start: start, ID: connectors.PartitionID{
		Topic: in.n.cfg.Topics[p.Topic], TopicID: p.TopicID, Partition: int32(p.Partition)}}
}
