package node

import (
	"sync"
	"sync/atomic"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

// places is where shards are, as far as the replicas on this node know: of what
// they say of a shard, the highest version holds. A replica that lags is wrong
// only until the group that is asked says so.
type places struct {
	shards atomic.Pointer[[]core.Placement]
	mu     sync.Mutex // held while shards is replaced
}

// init places shards as a new cluster does.
func (p *places) init(shards, groups int) {
	all := make([]core.Placement, shards)
	for s := range all {
		all[s] = core.Placement{Shard: state.Shard(s), Group: firstGroup(state.Shard(s), shards, groups)}
	}
	p.shards.Store(&all)
}

// take takes in what a replica says.
func (p *places) take(list []core.Placement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := *p.shards.Load()
	next := append([]core.Placement(nil), old...)
	for _, at := range list {
		if int(at.Shard) < len(next) && at.Version > next[at.Shard].Version {
			next[at.Shard] = at
		}
	}
	p.shards.Store(&next)
}

// of is where a shard is.
func (p *places) of(s state.Shard) core.Placement { return (*p.shards.Load())[s] }

// firstGroup is the group that a shard belongs to at first: shards lie in the
// groups in equal stretches.
func firstGroup(s state.Shard, shards, groups int) int {
	if int(s) >= shards { // a group's own shard
		return int(s) - shards
	}
	return int(s) * groups / shards
}

// groupOf is the group that a shard belongs to now.
func (n *Node) groupOf(s state.Shard) int {
	if int(s) >= n.cfg.Shards { // a group's own shard
		return int(s) - n.cfg.Shards
	}
	return n.places.of(s).Group
}

// groupOfKey is the group that a key belongs to.
func (n *Node) groupOfKey(key string) int { return n.groupOf(state.ShardOf(key, n.cfg.Shards)) }

// servedIn lists the shards that a group serves, as a view of its state says, its
// own one last.
func (n *Node) servedIn(r state.Reader, id int) ([]state.Shard, error) {
	return core.ReadServed(r, n.cfg.Shards, id, func(s state.Shard) int { return firstGroup(s, n.cfg.Shards, n.cfg.Groups) })
}
