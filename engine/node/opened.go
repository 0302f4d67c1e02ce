package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
)

// openedTimeout bounds asking all groups what they have open.
const openedTimeout = time.Second

// topicIDs are the ids under which topics are open in logs, by alias.
type topicIDs map[string]map[string]bool

func (t topicIDs) add(alias, id string) {
	if t[alias] == nil {
		t[alias] = map[string]bool{}
	}
	t[alias][id] = true
}

// choose is what a group reads, as far as it is known.
func (in *inputs) choose(ctx context.Context, id int, g *group.Group) (list []group.Input, known bool) {
	open := topicIDs{}
	for _, p := range g.Partitions() {
		open.add(p.Partition.Topic, p.Partition.TopicID)
	}
	if list, known = in.list(id, g, open, in.n.cfg.Groups == 1); known {
		return list, true
	}
	all, err := in.n.openTopics(ctx)
	if err != nil {
		in.noteUnsure(err)
		return list, false
	}
	return in.list(id, g, all, true)
}

// list is what a group reads: the described partitions of its shards, and those
// open in its log whose topic is gone, so that this is seen, or if gaps are
// skipped, so that they become idle. A topic that was made anew under the same
// name, which is one that any group has open under another id only, is read only if
// gaps are skipped. A topic that the group itself has not open under its id is left
// out as long as not all groups were asked, and the list is not known.
func (in *inputs) list(id int, g *group.Group, open topicIDs, all bool) (list []group.Input, known bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	stop := in.n.cfg.OnGap == GapStop
	for _, p := range g.Partitions() {
		at := p.Partition
		if info, ok := in.topics[at.Topic]; (!ok || info.TopicID != at.TopicID) && (stop || !p.Idle) {
			list = append(list, in.input(at, 0))
		}
	}
	known = true
	for _, alias := range in.aliases {
		info, ok := in.topics[alias]
		if !ok {
			continue
		}
		var own []group.Input
		for n := range info.Partitions {
			p := core.Partition{Topic: alias, TopicID: info.TopicID, Partition: int64(n)}
			if in.groupOf(p) == id {
				own = append(own, in.input(p, info.Starts[n]))
			}
		}
		switch first := stop && !open[alias][info.TopicID]; {
		case first && !all && len(own)+len(open[alias]) > 0:
			known = false
		case first && len(open[alias]) > 0:
			in.changed[alias] = true
		default:
			list = append(list, own...)
		}
	}
	return list, known
}

// noteUnsure keeps and logs why it is not known what other groups have open, when
// that changes.
func (in *inputs) noteUnsure(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	in.mu.Lock()
	news := in.unsure != text
	in.unsure = text
	in.mu.Unlock()
	if news && err != nil {
		in.n.cfg.Log.Info("new topics wait", "err", err)
	}
}

// errMeanwhile: a shard has moved while groups were asked, and what it has open
// may have been in none of their answers.
var errMeanwhile = errors.New("a shard is moving")

// openTopics asks the leaders of all groups which topics they have open: a replica
// here may be behind, or not there.
func (n *Node) openTopics(ctx context.Context) (topicIDs, error) {
	ctx, cancel := context.WithTimeout(ctx, openedTimeout)
	defer cancel()
	open := topicIDs{}
	var moved []movedShard
	for id := range n.cfg.Groups {
		q := &groupRequest{Group: uint64(id)}
		a, err := forward(ctx, n, id, callOpened, reads, q, func() (*openedAnswer, error) { return n.openedHere(ctx, q) })
		if err != nil {
			return nil, fmt.Errorf("what group %d reads is not known: %w", id, err)
		}
		if id > 0 && !slices.Equal(a.Moved, moved) {
			return nil, fmt.Errorf("what group %d reads is not known: %w", id, errMeanwhile)
		}
		moved = a.Moved
		for _, t := range a.Topics {
			open.add(t.Alias, t.ID)
		}
	}
	return open, nil
}

// openedHere answers which topics a group that is led here has open.
func (n *Node) openedHere(ctx context.Context, q *groupRequest) (*openedAnswer, error) {
	if err := n.checkGroup(int(q.Group)); err != nil {
		return nil, err
	}
	a := &openedAnswer{}
	return a, n.atLeader(int(q.Group), func(g *group.Group) error {
		partitions, moved, err := g.Opened(ctx)
		if err != nil {
			return err
		}
		for _, p := range partitions {
			if t := (openTopic{Alias: p.Partition.Topic, ID: p.Partition.TopicID}); !slices.Contains(a.Topics, t) {
				a.Topics = append(a.Topics, t)
			}
		}
		for _, m := range moved {
			a.Moved = append(a.Moved, movedShard{Shard: uint64(m.Shard), Group: uint64(m.Group), Version: m.Version})
		}
		return nil
	})
}
