// Package settled finds out whether a cluster has nothing left to do for what is
// in its input topics.
//
// One look does not tell. Groups are asked one after the other, and each may be
// idle when it is asked while the work is on its way between them: a message has
// left a group that is idle now and reaches one that was idle before. Two looks
// tell, if each finds all groups idle and the second finds each where the first
// has found it: none has done anything between them, so there is a moment at
// which all were idle.
package settled

import "slices"

// Group is what the leader of a group says of it.
type Group struct {
	Group           int
	Commit, Applied uint64
	OutboxRecords   int // not known to be in Kafka
	LaneMessages    int // not known to be applied in the groups they are for
}

func (g Group) idle() bool {
	return g.Applied >= g.Commit && g.OutboxRecords == 0 && g.LaneMessages == 0
}

// Watch looks at a cluster again and again. Its zero value is ready for use.
type Watch struct {
	before []Group // as the last look has found them, if all was idle
}

// Look takes the next look and says whether the cluster has settled by now. read
// says whether the inputs are applied to their end; leaders are what leaders say,
// and groups is how many of them there have to be.
func (w *Watch) Look(read bool, groups int, leaders []Group) bool {
	now := slices.Clone(leaders)
	slices.SortFunc(now, func(a, b Group) int { return a.Group - b.Group })
	now = slices.CompactFunc(now, func(a, b Group) bool { return a.Group == b.Group })
	if !read || groups == 0 || len(now) != len(leaders) || len(now) != groups || slices.ContainsFunc(now, func(g Group) bool { return !g.idle() }) {
		w.before = nil
		return false
	}
	same := slices.Equal(now, w.before)
	w.before = now
	return same
}
