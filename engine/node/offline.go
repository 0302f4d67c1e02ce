package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/state"
)

// Offline is a node's data directory that no process has open. While it is held
// none opens it.
type Offline struct {
	Path     string
	Node     string
	Cluster  string
	Shards   int
	Groups   int
	Clock    core.Clock
	Replicas []OfflineReplica // in the order of groups
	// Fingerprint is that of the pseudonym key.
	Fingerprint string
	Incarnation uint64
	// Known: the identity can be read. If not, only Path and Replicas are set.
	Known bool

	lock *os.File
}

// OfflineReplica is a replica's directory.
type OfflineReplica struct {
	Group int
	ID    string // "" if the identity doesn't tell
	Dir   string
	Made  bool // its files were there when the node ran last
}

// OpenOffline holds a directory to look at it, and writes nothing. fault is told
// what is wrong with the identity and with what lies beside it. An error means
// that it can't be looked at: [ErrInUse], or [ErrForeign].
func OpenOffline(path string, fault func(place string, err error)) (*Offline, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("data directory %w", err)
	}
	o := &Offline{Path: path}
	if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == identityFile || isGroupDir(e.Name()) }) {
		return nil, fmt.Errorf("%w: %s holds neither %s nor a group", ErrForeign, path, identityFile)
	}
	if err := o.hold(); err != nil {
		return nil, err
	}
	id, err := o.read()
	if err != nil {
		fault(identityFile, err)
	} else {
		o.take(id)
		for _, what := range id.contradictions() {
			fault(identityFile, errors.New(what))
		}
	}
	for _, e := range entries {
		o.found(e.Name(), fault)
	}
	return o, nil
}

// Close lets the directory go.
func (o *Offline) Close() error {
	if o.lock == nil {
		return nil
	}
	return o.lock.Close()
}

// GroupOf is the group that a shard belonged to at first: what has moved since
// is in the groups' rows, see [core.ReadPlacements].
func (o *Offline) GroupOf(s state.Shard) int { return firstGroup(s, o.Shards, o.Groups) }

// Damaged is what an earlier run found wrong with a replica, nil for nothing.
func (r *OfflineReplica) Damaged() error { return group.Noted(r.Dir) }

// hold takes the lock, if there is one: a process that has the directory open
// has made it.
func (o *Offline) hold() error {
	lock, err := os.OpenFile(filepath.Join(o.Path, lockFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data directory %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%w: %s", ErrInUse, o.Path)
		}
		return errors.Join(err, lock.Close())
	}
	o.lock = lock
	return nil
}

// read reads the identity, of which there is only one way to be written.
func (o *Offline) read() (*identity, error) {
	b, err := os.ReadFile(filepath.Join(o.Path, identityFile))
	if err != nil {
		return nil, err
	}
	var id identity
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&id); err != nil {
		return nil, fmt.Errorf("not readable: %w", err)
	}
	if id.Format != identityFormat {
		return nil, fmt.Errorf("format %d, this build knows %d", id.Format, identityFormat)
	}
	written, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(append(written, '\n'), b) {
		return nil, errors.New("not as it was written")
	}
	if sum, err := id.sum(); err != nil || id.Sum != "" && id.Sum != sum {
		return nil, errors.Join(errors.New("its checksum does not match"), err)
	}
	return &id, nil
}

func (o *Offline) take(id *identity) {
	o.Known = true
	o.Node, o.Cluster, o.Shards, o.Groups, o.Clock = id.Node, id.Cluster, id.Shards, id.Groups, core.Clock(id.Clock)
	o.Fingerprint, o.Incarnation = id.Fingerprint, id.Incarnation
	replicas := id.Replicas
	if id.Stage != stageFormed && id.Snapshot != "" { // it will be a founder
		replicas = slices.Repeat([]replicaState{{Generation: founding}}, id.Groups)
	}
	for g, r := range replicas {
		o.Replicas = append(o.Replicas, OfflineReplica{Group: g, ID: replicaID(id.Node, r.Generation), Made: r.Made,
			Dir: (&directory{path: o.Path}).groupDir(g)})
	}
}

// contradictions names everything in which an identity can't be right.
func (id *identity) contradictions() (list []string) {
	check := func(good bool, format string, args ...any) {
		if !good {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	check(id.Cluster != "" && id.Node != "", "it names no cluster or no node")
	check(id.Shards > 0 && id.Groups > 0 && id.Groups <= id.Shards, "%d shards in %d groups", id.Shards, id.Groups)
	check(id.Clock == string(core.ClockWall) || id.Clock == string(core.ClockReplay), "clock %q", id.Clock)
	_, err := time.ParseDuration(id.Lateness)
	check(err == nil, "lateness %q", id.Lateness)
	check(id.Incarnation > 0, "incarnation 0")
	check(slices.Contains([]stage{stageNew, stageForming, stageFormed, stageRemoved}, id.Stage), "stage %q", id.Stage)
	if id.Stage != stageFormed {
		return list
	}
	check(id.ClusterID != "", "it is formed and names no cluster id")
	check(id.member(id.Node) != nil, "it is formed and node %s is no member", id.Node)
	check(len(id.Replicas) == id.Groups, "%d replicas in %d groups", len(id.Replicas), id.Groups)
	check(slices.IsSortedFunc(id.Members, func(a, b member) int { return strings.Compare(a.ID, b.ID) }), "members are not in order")
	for g, r := range id.Replicas {
		check(r.Generation > 0, "replica of group %d has generation 0", g)
	}
	return list
}

const groupPrefix = "group-"

func isGroupDir(name string) bool {
	_, err := strconv.ParseUint(strings.TrimPrefix(name, groupPrefix), 10, 16)
	return strings.HasPrefix(name, groupPrefix) && err == nil
}

// found takes in what lies in the directory.
func (o *Offline) found(name string, fault func(place string, err error)) {
	switch {
	case slices.Contains([]string{lockFile, identityFile, identityFile + ".partial", quarantineDir}, name):
	case !isGroupDir(name):
		fault(name, errors.New("it does not belong here"))
	default:
		g, _ := strconv.Atoi(strings.TrimPrefix(name, groupPrefix)) // isGroupDir has parsed it
		if slices.ContainsFunc(o.Replicas, func(r OfflineReplica) bool { return r.Group == g }) {
			return
		}
		if o.Known {
			fault(name, fmt.Errorf("the node has no replica of group %d", g))
			return
		}
		o.Replicas = append(o.Replicas, OfflineReplica{Group: g, Dir: filepath.Join(o.Path, name), Made: true})
	}
}
