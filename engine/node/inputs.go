package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/leader"
)

const (
	describeEvery   = 3 * time.Second        // looking for new topics and partitions
	describeTimeout = 10 * time.Second       //
	commitEvery     = 5 * time.Second        // offsets to Kafka, for dashboards
	pollPause       = 100 * time.Millisecond // after a failed poll or look-up
)

// inputs reads the input topics for all groups that this node leads.
//
// Which partitions there are is asked from Kafka every few seconds; each is
// opened by an entry in the log of the group that owns its shard, and read from
// where that log says. Topics that others refer to are read to their end before
// the others are let in, in all groups.
type inputs struct {
	n       *Node
	aliases []string          // of input topics, in the plan's order
	alias   map[string]string // Kafka's name → alias

	mu      sync.Mutex // guards what follows
	actions []leader.Action
	wake    context.CancelFunc // ends the poll at hand
	topics  map[string]connectors.TopicInfo
	missing []string // topics that don't exist
	changed map[string]bool
	fault   string   // why Kafka can't be asked
	known   bool     // topics were described
	served  []uint64 // tenure of each group that has its list
	opened  []uint64 // and that reads on behind the first topics

	lookMu sync.Mutex         // one look-up at a time
	look   connectors.Fetcher // for look-ups beside the poll; made when first needed
}

func newInputs(n *Node) *inputs {
	in := &inputs{n: n, alias: map[string]string{}, changed: map[string]bool{},
		served: make([]uint64, n.cfg.Groups), opened: make([]uint64, n.cfg.Groups)}
	for _, t := range n.cfg.Plan.Topics {
		if t.Input {
			in.aliases = append(in.aliases, t.Alias)
			in.alias[n.cfg.Topics[t.Alias]] = t.Alias
		}
	}
	return in
}

// notReady says what keeps the sources from reading, "" for nothing.
func (in *inputs) notReady() string {
	if in.n.cfg.NewFetcher == nil {
		return ""
	}
	open := true
	in.mu.Lock()
	defer in.mu.Unlock()
	for id, g := range in.n.groups {
		tenure, leads := g.Tenure()
		open = open && leads && in.opened[id] == tenure
	}
	switch {
	case open:
		return ""
	case in.fault != "":
		return "inputs: " + in.fault
	case !in.known:
		return "inputs: topics are being looked up"
	case in.n.cfg.Clock == ClockReplay && len(in.missing) > 0:
		return fmt.Sprintf("inputs: topics %v don't exist", in.missing)
	}
	return "inputs: topics that others refer to are being read"
}

// tell queues what a group wants of the fetcher. It never blocks.
func (in *inputs) tell(actions []leader.Action) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.actions = append(in.actions, actions...)
	if in.wake != nil {
		in.wake()
	}
}

// run reads until ctx ends.
func (in *inputs) run(ctx context.Context) error {
	if in.n.cfg.NewFetcher == nil {
		<-ctx.Done()
		return nil
	}
	fetcher, err := in.n.cfg.NewFetcher()
	if err != nil {
		return fmt.Errorf("inputs: %w", err)
	}
	defer fetcher.Close()
	defer in.closeLook()
	var loops sync.WaitGroup
	loops.Go(func() { in.describe(ctx, fetcher) })
	loops.Go(func() { in.commit(ctx) })
	in.poll(ctx, fetcher)
	loops.Wait()
	return nil
}

// poll fetches, decodes and hands over, until ctx ends.
func (in *inputs) poll(ctx context.Context, f connectors.Fetcher) {
	for ctx.Err() == nil {
		fetches, err := in.pollOnce(ctx, f)
		for i := range fetches {
			in.deliver(&fetches[i])
		}
		if err != nil {
			in.note(err)
			wait(ctx, pollPause)
		}
	}
}

// pollOnce carries out what the groups want, then polls until something comes
// or they want something else.
func (in *inputs) pollOnce(ctx context.Context, f connectors.Fetcher) ([]connectors.Fetch, error) {
	pollCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	in.mu.Lock()
	actions := in.actions
	in.actions = nil
	in.wake = cancel
	in.mu.Unlock()
	for _, a := range actions {
		switch a.Kind {
		case leader.Assign:
			f.Assign(a.Partition, a.Offset)
		case leader.Pause:
			f.Pause(a.Partition)
		case leader.Resume:
			f.Resume(a.Partition)
		case leader.Remove:
			f.Remove(a.Partition)
		}
	}
	fetches, err := f.Poll(pollCtx)
	if err != nil && pollCtx.Err() != nil {
		err = nil // there is something to tell the fetcher, or we stop
	}
	return fetches, err
}

// deliver decodes a fetch and hands it to the group that reads the partition.
func (in *inputs) deliver(f *connectors.Fetch) {
	alias, ok := in.alias[f.Partition.Topic]
	if !ok {
		return
	}
	p := core.Partition{Topic: alias, TopicID: f.Partition.TopicID, Partition: int64(f.Partition.Partition)}
	in.n.groups[in.groupOf(p)].Fetched(leader.Decode(in.n.cfg.Decoder, alias, f))
}

func (in *inputs) groupOf(p core.Partition) int {
	return in.n.groupOf(core.PartitionShard(p, in.n.cfg.Shards))
}

// note keeps and logs why Kafka can't be reached, when that changes.
func (in *inputs) note(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	in.mu.Lock()
	news := in.fault != text
	in.fault = text
	in.mu.Unlock()
	if !news {
		return
	}
	if err != nil {
		in.n.cfg.Log.Warn("inputs wait for kafka", "err", err)
	} else {
		in.n.cfg.Log.Info("inputs reach kafka")
	}
	in.n.changed()
}

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
		in.assign(ctx)
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
// topics in once the first ones are read everywhere.
func (in *inputs) assign(ctx context.Context) {
	in.mu.Lock()
	ready := in.known && (in.n.cfg.Clock != ClockReplay || len(in.missing) == 0)
	in.mu.Unlock()
	if !ready {
		return
	}
	tenures := make([]uint64, len(in.n.groups))
	read := true
	for id, g := range in.n.groups {
		var leads bool
		if tenures[id], leads = g.Tenure(); !leads {
			read = false
			continue
		}
		in.mu.Lock()
		news := in.served[id] != tenures[id]
		in.served[id] = tenures[id]
		in.mu.Unlock()
		if news {
			g.SetInputs(in.list(id, g))
		}
		first, err := g.FirstRead(ctx)
		read = read && first && err == nil
	}
	if !read {
		return
	}
	in.mu.Lock()
	news := !slices.Equal(in.opened, tenures)
	in.opened = tenures
	in.mu.Unlock()
	if news {
		for _, g := range in.n.groups {
			g.OpenInputs()
		}
		in.n.changed()
	}
}

// list is what a group reads: the described partitions of its shards, and those
// open in its log whose topic is gone, so that this is seen. A topic that was
// made anew under the same name is read only if gaps are skipped.
func (in *inputs) list(id int, g *group.Group) (list []group.Input) {
	in.mu.Lock()
	defer in.mu.Unlock()
	open := map[string]map[string]bool{} // alias → topic ids
	for _, p := range g.Partitions() {
		at := p.Partition
		if open[at.Topic] == nil {
			open[at.Topic] = map[string]bool{}
		}
		open[at.Topic][at.TopicID] = true
		if info, ok := in.topics[at.Topic]; (!ok || info.TopicID != at.TopicID) && in.n.cfg.OnGap == GapStop {
			list = append(list, in.input(at, 0))
		}
	}
	for _, alias := range in.aliases {
		info, ok := in.topics[alias]
		if !ok {
			continue
		}
		if ids := open[alias]; len(ids) > 0 && !ids[info.TopicID] && in.n.cfg.OnGap == GapStop {
			in.changed[alias] = true
			continue
		}
		for n := range info.Partitions {
			p := core.Partition{Topic: alias, TopicID: info.TopicID, Partition: int64(n)}
			if in.groupOf(p) == id {
				list = append(list, in.input(p, info.Starts[n]))
			}
		}
	}
	return list
}

func (in *inputs) input(p core.Partition, start int64) group.Input {
	return group.Input{Partition: p, Start: start, ID: connectors.PartitionID{
		Topic: in.n.cfg.Topics[p.Topic], TopicID: p.TopicID, Partition: int32(p.Partition)}}
}

// commit tells Kafka how far we are, for lag dashboards; nobody reads it back.
func (in *inputs) commit(ctx context.Context) {
	told := map[connectors.PartitionID]int64{}
	var last error
	for wait(ctx, commitEvery) {
		next := map[connectors.PartitionID]int64{}
		for _, g := range in.n.groups {
			if !g.Leading() {
				continue
			}
			for _, p := range g.Partitions() {
				id := in.input(p.Partition, 0).ID
				if before, ok := told[id]; !ok || before != p.Next {
					next[id] = p.Next
				}
			}
		}
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

// wait lets a time pass. It returns false if ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
