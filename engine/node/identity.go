package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/zeebo/xxh3"

	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/faultdisk"
)

// Errors of opening a data directory.
var (
	// ErrInUse: another process has the directory open.
	ErrInUse = errors.New("data directory is in use by another process")
	// ErrForeign: the directory holds something else, or another node.
	ErrForeign = errors.New("data directory is another's")
)

const (
	lockFile      = "lock"
	identityFile  = "node.json"
	quarantineDir = "quarantine"
)

// identity is what a data directory is for. What is above the stage is fixed
// when the directory is made; the members change with the cluster.
type identity struct {
	Format      int    `json:"format"`
	Cluster     string `json:"cluster"`
	Node        string `json:"node"`
	Shards      int    `json:"shards"`
	Groups      int    `json:"groups"`
	Clock       string `json:"clock"`
	Lateness    string `json:"lateness"`
	Fingerprint string `json:"fingerprint"`
	Incarnation uint64 `json:"incarnation"`
	// Snapshot that the directory was restored from, by its checksum.
	Snapshot string `json:"snapshot,omitempty"`

	Stage     stage          `json:"stage"`
	ClusterID string         `json:"cluster_id"` // made by the node that formed it
	Members   []member       `json:"members"`    // in the order of ids
	Replicas  []replicaState `json:"replicas"`   // this node's, by group

	Version  uint64   `json:"version,omitempty"`  // of the list of members: changes since the cluster was formed
	Gone     []string `json:"gone,omitempty"`     // ids of removed members, the latest last
	Founders []string `json:"founders,omitempty"` // who formed the cluster, if the list has changed since
	// Level is the feature level that the cluster was formed at, if it was not the
	// first.
	Level uint64 `json:"level,omitempty"`

	Sum string `json:"sum,omitempty"` // of all above; older builds wrote none
}

// stage is how far a node is on its way into a cluster.
type stage string

const (
	stageNew     stage = "new"     // knows no cluster yet
	stageForming stage = "forming" // has promised to be a member of one
	stageFormed  stage = "formed"
	stageRemoved stage = "removed" // was a member, and never is again
)

// member is a node of the cluster and where it was seen last.
type member struct {
	ID   string `json:"id" v:"id"`
	Peer string `json:"peer" v:"peer"`
	HTTP string `json:"http" v:"http"`
	// State is "" for one that takes full part, or as in membership.go.
	State string `json:"state,omitempty" v:"state"`
}

// replicaState is what a node keeps of a replica beside the replica's files.
type replicaState struct {
	// Generation counts the lives of this node's replicas: one that rejoins
	// after a loss gets a new name, because it can't keep the old one's word.
	Generation uint64 `json:"generation"`
	// Made: its files are there. If they are not, they were lost.
	Made bool `json:"made"`
}

// founding is the generation of the replicas that make a group.
const founding = 1

// identityFormat is the version of the layout of a data directory.
const identityFormat = 2

// clone copies what a change may write to.
func (id identity) clone() identity {
	id.Members, id.Replicas = slices.Clone(id.Members), slices.Clone(id.Replicas)
	return id
}

// sum is the checksum of all but itself.
func (id identity) sum() (string, error) {
	id.Sum = ""
	b, err := json.Marshal(id)
	return fmt.Sprintf("%016x", xxh3.Hash(b)), err
}

// member finds a member by its id.
func (id *identity) member(node string) *member {
	if i := slices.IndexFunc(id.Members, func(m member) bool { return m.ID == node }); i >= 0 {
		return &id.Members[i]
	}
	return nil
}

// directory is an open data directory.
type directory struct {
	path string
	lock *os.File

	mu sync.Mutex // guards id, which is replaced as a whole
	id identity
}

// openDirectory takes a data directory for this process, or makes it.
func openDirectory(cfg *Config) (*directory, error) {
	if err := faultdisk.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("data directory %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(cfg.Dir, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("data directory %w", err)
	}
	d := &directory{path: cfg.Dir, lock: lock}
	if err := d.open(cfg); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *directory) open(cfg *Config) error {
	if err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%w: %s", ErrInUse, d.path)
		}
		return fmt.Errorf("data directory %s: lock: %w", d.path, err)
	}
	return d.identify(cfg.identity())
}

// identify reads the identity and compares it, or writes it into an empty
// directory.
func (d *directory) identify(want identity) error {
	path := filepath.Join(d.path, identityFile)
	b, err := faultdisk.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.mustBeEmpty(); err != nil {
			return err
		}
		d.id = want
		return writeIdentity(path, want)
	}
	if err != nil {
		return fmt.Errorf("data directory %w", err)
	}
	if err := json.Unmarshal(b, &d.id); err != nil {
		return fmt.Errorf("%w: %s is not readable: %w", ErrForeign, path, err)
	}
	if sum, err := d.id.sum(); err != nil || d.id.Sum != "" && d.id.Sum != sum {
		return errors.Join(fmt.Errorf("%w: %s: its checksum does not match", raftlog.ErrCorrupt, path), err)
	}
	return d.compare(want)
}

func (d *directory) mustBeEmpty() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("data directory %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); name != lockFile && name != identityFile+".partial" {
			return fmt.Errorf("%w: %s holds %s and no %s; name an empty or new directory", ErrForeign, d.path, name, identityFile)
		}
	}
	return nil
}

// compare names everything that differs.
func (d *directory) compare(want identity) error {
	if d.id.Format != identityFormat {
		return fmt.Errorf("%w: %s was written by another version (format %d, this one knows %d)", ErrForeign, d.path, d.id.Format, identityFormat)
	}
	if d.id.Stage == stageRemoved {
		return fmt.Errorf("%w: %s: node %s may not come back with what it held; empty the directory and have it added as a new node", ErrRemoved, d.path, d.id.Node)
	}
	var differs []string
	check := func(what string, has, asked any) {
		if has != asked {
			differs = append(differs, fmt.Sprintf("%s is %v, not %v", what, has, asked))
		}
	}
	check("cluster", d.id.Cluster, want.Cluster)
	check("node", d.id.Node, want.Node)
	check("shards", d.id.Shards, want.Shards)
	check("groups", d.id.Groups, want.Groups)
	check("clock", d.id.Clock, want.Clock)
	check("pseudonym key's fingerprint", d.id.Fingerprint, want.Fingerprint)
	if len(d.id.Members) > 1 {
		// Replicas that disagree about it compute different watermarks.
		check("lateness", d.id.Lateness, want.Lateness)
	}
	if len(differs) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: %s", ErrForeign, d.path, strings.Join(differs, "; "))
}

// now is the identity as it is. It must not be written to.
func (d *directory) now() identity {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.id
}

// change writes a changed identity. It counts once it is on disk; after an
// error of fn nothing is changed.
func (d *directory) change(fn func(id *identity) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.id.clone()
	if err := fn(&next); err != nil {
		return err
	}
	if err := writeIdentity(filepath.Join(d.path, identityFile), next); err != nil {
		return err
	}
	d.id = next
	return nil
}

// writeIdentity writes the file so that it is there as a whole or not at all.
func writeIdentity(path string, id identity) (err error) {
	if id.Sum, err = id.sum(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	partial := path + ".partial"
	f, err := faultdisk.Create(partial)
	if err != nil {
		return fmt.Errorf("data directory %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("data directory %s: %w", partial, err)
	}
	if err := errors.Join(faultdisk.Rename(partial, path), raftlog.SyncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("data directory %w", err)
	}
	return nil
}

// groupDir is where a group keeps its files.
func (d *directory) groupDir(group int) string {
	return filepath.Join(d.path, fmt.Sprintf("group-%d", group))
}

// close gives the directory back.
func (d *directory) close() error { return d.lock.Close() }

// replicaID names a replica.
func replicaID(node string, generation uint64) string { return fmt.Sprintf("%s.%d", node, generation) }
