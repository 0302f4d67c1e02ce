package group

import (
	"slices"
	"sync"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

// DigestAt is the digest of a group's state at an index. At one index all
// replicas must have the same.
type DigestAt struct {
	Index  uint64
	Sum    state.Digest // of all shards
	Shards []state.ShardDigest
}

const (
	// keepDigests is how many digests are remembered.
	keepDigests = 16
	// digestBucket is how much log time passes between digests.
	digestBucket = 5 * 1_000_000 // microseconds
	// digestEntries is the same on a replay clock, whose time may leap with
	// every entry.
	digestEntries = 4096
)

// digests are the last ones taken, oldest first.
type digests struct {
	mu   sync.Mutex // guards last
	last []DigestAt
}

// digestDue says whether a digest is taken after an entry. It depends on the
// log alone, so that all replicas take theirs after the same entries: the first
// of each stretch of log time, or, on a replay clock, of the log.
func digestDue(clock core.Clock, timeBefore, time state.Time, indexBefore, index uint64) bool {
	if clock == core.ClockReplay {
		return indexBefore/digestEntries != index/digestEntries
	}
	return timeBefore/digestBucket != time/digestBucket
}

// take remembers a digest.
func (d *digests) take(index uint64, shards []state.ShardDigest) {
	at := DigestAt{Index: index, Shards: shards}
	for _, s := range shards {
		at.Sum = at.Sum.Add(s.Digest)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.last) == keepDigests {
		d.last = slices.Delete(d.last, 0, 1)
	}
	d.last = append(d.last, at)
}

// Digests lists the digests taken last, oldest first.
func (g *Group) Digests() []DigestAt {
	g.digests.mu.Lock()
	defer g.digests.mu.Unlock()
	return slices.Clone(g.digests.last)
}
