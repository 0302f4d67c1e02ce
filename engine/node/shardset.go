package node

import (
	"iter"

	"anabranch.dev/state"
)

// shardSet is a set of shards on its way between nodes, a bit for each. What a
// set is too short for is not in it.
type shardSet []byte

func newShardSet(shards int) shardSet { return make(shardSet, (shards+7)/8) }

// add adds a shard that the set has room for.
func (s shardSet) add(shard state.Shard) { s[shard/8] |= 1 << (shard % 8) }

func (s shardSet) has(shard state.Shard) bool {
	return int(shard/8) < len(s) && s[shard/8]&(1<<(shard%8)) != 0
}

// all visits the shards in order.
func (s shardSet) all() iter.Seq[state.Shard] {
	return func(yield func(state.Shard) bool) {
		for i := range 8 * len(s) {
			if shard := state.Shard(i); s.has(shard) && !yield(shard) {
				return
			}
		}
	}
}

// without is the set of those that are not in another one.
func (s shardSet) without(other shardSet) shardSet {
	left := make(shardSet, len(s))
	for shard := range s.all() {
		if !other.has(shard) {
			left.add(shard)
		}
	}
	return left
}

// min is the first shard, if there is any.
func (s shardSet) min() (shard state.Shard, ok bool) {
	for shard := range s.all() {
		return shard, true
	}
	return 0, false
}
