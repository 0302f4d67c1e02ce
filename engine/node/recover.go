package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/raftlog"
)

// Recovering says how a cluster goes on that has lost its majority.
type Recovering struct {
	// Survivors are the nodes that are left, this one among them. The same list
	// must be given on each.
	Survivors   []string
	Incarnation uint64 // 0: the next one
	// Apply has the directory replaced. Without it nothing is changed: what would
	// come of it is only said.
	Apply bool
	Now   time.Time
}

// Recovered is what is kept of a node.
type Recovered struct {
	Node        string           `json:"node"`
	Cluster     string           `json:"cluster"`
	Incarnation uint64           `json:"incarnation"` // the new one
	Survivors   []string         `json:"survivors"`
	Lost        []string         `json:"lost"`
	Groups      []RecoveredGroup `json:"groups"`
	Shards      []string         `json:"shards,omitempty"` // that not exactly one group has, with what becomes of them
	Before      string           `json:"before,omitempty"` // where the old directory is now
}

// RecoveredGroup is what is kept of a group, as this node has it.
type RecoveredGroup struct {
	Group   int       `json:"group"`
	Replica string    `json:"replica"`
	Index   uint64    `json:"index"`    // of the last entry that is kept
	Term    uint64    `json:"term"`     // and its term
	LogTime time.Time `json:"log_time"` // of it: what was decided later is lost
	// Unreadable is how many entries follow in the log that can't be used,
	// because one before them can't be read or halts the group.
	Unreadable    uint64   `json:"unreadable"`
	OutboxRecords int      `json:"outbox_records"` // that may be in Kafka already
	LaneMessages  int      `json:"lane_messages"`  // that other groups may have applied already
	Faults        []string `json:"faults,omitempty"`

	placements []core.Placement // where the group believes all shards to be
}

// Recover makes the directory of one of the nodes that are left one of a new
// incarnation of the cluster, whose members are these nodes only. Each group begins
// with all that this node has of it, committed or not; where several nodes are left,
// the one with most of a group is elected and the others take its state.
func Recover(ctx context.Context, cfg Config, r Recovering) (out *Recovered, err error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var faults []error
	o, err := OpenOffline(cfg.Dir, func(place string, err error) { faults = append(faults, fmt.Errorf("%s: %w", place, err)) })
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	id, err := o.read()
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %s: %w", cfg.Dir, identityFile, err)
	}
	if err := errors.Join((&directory{path: cfg.Dir, id: *id}).compare(cfg.identity()), id.survives(r.Survivors)); err != nil {
		return nil, err
	}
	next := id.after(r)
	out = &Recovered{Node: cfg.ID, Cluster: cfg.Cluster, Incarnation: next.Incarnation, Survivors: memberIDs(next.Members)}
	for _, m := range id.Members {
		if next.member(m.ID) == nil {
			out.Lost = append(out.Lost, m.ID)
		}
	}
	partial := cfg.Dir + partialDir
	if err := os.RemoveAll(partial); err != nil {
		return nil, fmt.Errorf("data directory %w", err)
	}
	for _, replica := range o.Replicas {
		g, err := cfg.recoverGroup(ctx, partial, &replica, id.Incarnation)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(partial))
		}
		out.Groups = append(out.Groups, *g)
	}
	out.Shards = disputed(out.Groups)
	if !r.Apply {
		return out, os.RemoveAll(partial)
	}
	if err := writeIdentity(filepath.Join(partial, identityFile), next); err != nil {
		return nil, err
	}
	out.Before = fmt.Sprintf("%s.before-incarnation-%d-%s", cfg.Dir, next.Incarnation, r.Now.UTC().Format("20060102T150405Z"))
	return out, errors.Join(os.Rename(cfg.Dir, out.Before), os.Rename(partial, cfg.Dir), raftlog.SyncDir(filepath.Dir(filepath.Clean(cfg.Dir))))
}

// survives refuses a list of survivors that can't be right.
func (id *identity) survives(nodes []string) error {
	if id.Stage != stageFormed {
		return fmt.Errorf("node %s is a member of no cluster: there is nothing to recover", id.Node)
	}
	var unknown []string
	for _, n := range nodes {
		if id.member(n) == nil {
			unknown = append(unknown, n)
		}
	}
	list := strings.Join(memberIDs(id.Members), ", ")
	switch {
	case len(unknown) > 0:
		return fmt.Errorf("%s: not a member; the members are %s", strings.Join(unknown, ", "), list)
	case !slices.Contains(nodes, id.Node):
		return fmt.Errorf("node %s, whose directory this is, is not among the survivors", id.Node)
	case len(slices.Compact(slices.Sorted(slices.Values(nodes)))) != len(nodes):
		return errors.New("a survivor is named twice")
	case len(nodes) > len(id.Members)/2 && len(id.Members) > 1:
		return fmt.Errorf("%s are a majority of %s: start them, and nothing is lost", strings.Join(nodes, ", "), list)
	}
	return nil
}

// after is the identity in the new incarnation.
func (id *identity) after(r Recovering) identity {
	next := id.clone()
	next.Incarnation = max(id.Incarnation+1, r.Incarnation)
	next.Snapshot = ""
	next.Members = slices.DeleteFunc(next.Members, func(m member) bool { return !slices.Contains(r.Survivors, m.ID) })
	next.Version, next.Gone, next.Founders = 0, nil, nil // the list of members begins anew
	next.ClusterID = reclusterID(id.ClusterID, next.Incarnation, memberIDs(next.Members))
	for i := range next.Members {
		next.Members[i].State = "" // nobody is on the way in or out
	}
	for g := range next.Replicas {
		next.Replicas[g] = replicaState{Generation: founding}
	}
	return next
}

// errOlder: the state lies behind the snapshot beside it.
var errOlder = errors.New("state is older than the snapshot beside it")

// recoverGroup makes the seed of a group from what its replica has: from its state,
// or if that can't be used from its newest snapshot or from nothing, and from the log
// behind it. incarnation is the one that the log was written in: what is in it is
// applied as it was then.
func (c *Config) recoverGroup(ctx context.Context, partial string, r *OfflineReplica, incarnation uint64) (*RecoveredGroup, error) {
	out := &RecoveredGroup{Group: r.Group, Replica: r.ID}
	note := func(place string, err error) { out.Faults = append(out.Faults, fmt.Sprintf("%s: %v", place, err)) }
	tries := []raftlog.InspectedSnapshot{{State: filepath.Join(r.Dir, "state")}}
	newest := raftlog.InspectedSnapshot{}
	for _, s := range raftlog.InspectSnapshots(filepath.Join(r.Dir, "snapshots"), note) {
		if s.Whole && s.Index >= newest.Index {
			newest = s
		}
	}
	if newest.Index > 0 {
		tries = append(tries, newest)
	}
	tries = append(tries, raftlog.InspectedSnapshot{}) // a log that was never cut off has everything
	lanes := core.LanesRestart
	if c.Groups == 1 {
		lanes = core.LanesGoOn // within a group nothing is of another moment
	}
	var faults []error
	for _, from := range tries {
		l := &tail{cfg: c, replica: r, snapshot: newest, from: from.Index}
		seeded, err := c.seed(ctx, partial, r.Group, from.State, &group.Seeding{Core: c.offlineCore(r.Group, incarnation), Lanes: lanes, Replay: l.replay})
		if err != nil {
			faults = append(faults, err)
			continue
		}
		out.Index, out.Term, out.Unreadable = l.last, l.term, l.left
		out.LogTime = time.UnixMicro(int64(seeded.LogTime)).UTC()
		out.OutboxRecords, out.LaneMessages, out.placements = seeded.OutboxRecords, seeded.LaneMessages, seeded.Placements
		out.Faults = append(out.Faults, l.faults...)
		return out, nil
	}
	return nil, fmt.Errorf("group %d: nothing of it can be used; restore a backup: %w", r.Group, errors.Join(faults...))
}

// tail is the part of a log behind a state.
type tail struct {
	cfg      *Config
	replica  *OfflineReplica
	snapshot raftlog.InspectedSnapshot // the newest
	from     uint64                    // index that the state counts as, if it is that snapshot's

	applied, last, term, left uint64
	ended                     bool // the rest can't be used
	faults                    []string
}

// replay applies what follows in the log, up to the first entry that can't be
// read or that halts the group.
func (l *tail) replay(c *core.Core, applied uint64) (index, term uint64, err error) {
	if l.from == 0 && applied < l.snapshot.Index {
		return 0, 0, errOlder
	}
	l.applied, l.last = applied, max(applied, l.from)
	found := raftlog.Inspection{
		Dir: filepath.Join(l.replica.Dir, "log"), Group: uint64(l.replica.Group), Snapshot: l.snapshot.Index,
		Record: l.record,
		Entry:  func(index uint64, data []byte) error { return l.entry(c, index, data) },
		Fault: func(place string, err error) {
			l.faults = append(l.faults, fmt.Sprintf("%s: %v", place, err))
			l.ended = l.ended || strings.HasPrefix(place, "log record")
		},
	}.Run()
	if found.First > max(applied, l.from)+1 || found.First == 0 && applied == 0 {
		return 0, 0, fmt.Errorf("the log begins at %d, the state is at %d", found.First, applied)
	}
	if l.term == 0 {
		l.term = l.snapshot.Term
	}
	l.left = max(found.Last, l.last) - l.last
	return l.last, l.term, nil
}

// record takes note of a record that can be read.
func (l *tail) record(index, term uint64) {
	switch {
	case l.ended:
	case index == l.last:
		l.term = term
	case index == l.last+1:
		l.last, l.term = index, term
	case index > l.last:
		l.ended = true // something before it is missing
	}
}

// entry applies the entry of the record noted last.
func (l *tail) entry(c *core.Core, index uint64, data []byte) error {
	if l.ended || index <= l.applied {
		return nil
	}
	var e core.Entry
	if err := l.cfg.Codec.Decode(data, &e); err != nil {
		l.ended = true
		l.last = index - 1
		return err
	}
	if c.Apply(index, &e); c.Halted() != nil {
		l.ended = true
		l.last = index - 1
		l.faults = append(l.faults, fmt.Sprintf("entry %d halts the group: %s", index, c.Halted().Code))
	}
	return nil
}
