package node

import (
	"context"
	"fmt"
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
	actions []wish
	wake    context.CancelFunc // ends the poll at hand
	topics  map[string]connectors.TopicInfo
	missing []string // topics that don't exist
	changed map[string]bool
	fault   string   // why Kafka can't be asked
	unsure  string   // why other groups can't be asked what they have open
	known   bool     // topics were described
	served  []uint64 // tenure of each group that has its list
	first   []uint64 // and that has read the first topics
	opened  []uint64 // and that reads on behind them

	readers map[connectors.PartitionID]uint64 // tenure that has each partition read; the poll's

	lookMu sync.Mutex         // one look-up at a time
	look   connectors.Fetcher // for look-ups beside the poll; made when first needed
}

func newInputs(n *Node) *inputs {
	in := &inputs{n: n, alias: map[string]string{}, changed: map[string]bool{}, readers: map[connectors.PartitionID]uint64{},
		served: make([]uint64, n.cfg.Groups), first: make([]uint64, n.cfg.Groups), opened: make([]uint64, n.cfg.Groups)}
	for _, t := range n.cfg.Plan.Topics {
		if t.Input {
			in.aliases = append(in.aliases, t.Alias)
			in.alias[n.cfg.Topics[t.Alias]] = t.Alias
		}
	}
	return in
}

// notReady says what keeps the sources of the groups that are led here from
// reading, "" for nothing.
func (in *inputs) notReady() string {
	if in.n.cfg.NewFetcher == nil {
		return ""
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	open := in.known && len(in.missing) == 0
	if in.n.cfg.Clock == ClockWall { // under the replay clock event time says what comes first
		open = true
		in.n.each(func(id int, g *group.Group) {
			if tenure, leads := g.Tenure(); leads {
				open = open && in.opened[id] == tenure
			}
		})
	}
	switch {
	case open:
		return ""
	case in.fault != "":
		return "inputs: " + in.fault
	case in.unsure != "":
		return "inputs: " + in.unsure
	case !in.known:
		return "inputs: topics are being looked up"
	case in.n.cfg.Clock == ClockReplay && len(in.missing) > 0:
		return fmt.Sprintf("inputs: topics %v don't exist", in.missing)
	}
	return "inputs: topics that others refer to are being read"
}

// firstRead reports whether a group that is led here has read the topics that
// others refer to.
func (in *inputs) firstRead(id int, g *group.Group) bool {
	tenure, leads := g.Tenure()
	in.mu.Lock()
	defer in.mu.Unlock()
	return leads && in.first[id] == tenure
}

// wish is what a tenure of a group wants of the fetcher.
type wish struct {
	leader.Action
	group  int
	tenure uint64
}

// tell queues what a tenure of a group wants of the fetcher. It never blocks.
func (in *inputs) tell(group int, tenure uint64, actions []leader.Action) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, a := range actions {
		in.actions = append(in.actions, wish{a, group, tenure})
	}
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
	for i := range actions {
		in.carryOut(f, &actions[i])
	}
	fetches, err := f.Poll(pollCtx)
	if err != nil && pollCtx.Err() != nil {
		err = nil // there is something to tell the fetcher, or we stop
	}
	return fetches, err
}

// carryOut tells the fetcher what a tenure wants. A partition whose shard has
// moved is read for another group by now: what an earlier reader of it still
// wants, such as to end, is not to touch that.
func (in *inputs) carryOut(f connectors.Fetcher, w *wish) {
	p := w.Partition
	if w.Kind == leader.Assign {
		if at, known := in.partition(p); known && in.groupOf(at) != w.group {
			return // it has not heard yet
		}
		in.readers[p] = w.tenure
		f.Assign(p, w.Offset)
		return
	}
	if in.readers[p] != w.tenure {
		return
	}
	switch w.Kind {
	case leader.Pause:
		f.Pause(p)
	case leader.Resume:
		f.Resume(p)
	case leader.Remove:
		delete(in.readers, p)
		f.Remove(p)
	}
}

// partition is a partition as the log knows it.
func (in *inputs) partition(id connectors.PartitionID) (p core.Partition, known bool) {
	alias, known := in.alias[id.Topic]
	return core.Partition{Topic: alias, TopicID: id.TopicID, Partition: int64(id.Partition)}, known
}

// deliver decodes a fetch and hands it to the group that reads the partition.
func (in *inputs) deliver(f *connectors.Fetch) {
	p, ok := in.partition(f.Partition)
	if !ok {
		return
	}
	if g := in.n.group(in.groupOf(p)); g != nil {
		g.Fetched(leader.Decode(in.n.cfg.Decoder, p.Topic, f))
	}
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
