package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Errors of opening a data directory.
var (
	// ErrInUse: another process has the directory open.
	ErrInUse = errors.New("data directory is in use by another process")
	// ErrForeign: the directory holds something else, or another node.
	ErrForeign = errors.New("data directory is another's")
)

const (
	lockFile     = "lock"
	identityFile = "node.json"
)

// identity is what a data directory is for, fixed when it is made.
type identity struct {
	Format      int    `json:"format"`
	Cluster     string `json:"cluster"`
	Node        string `json:"node"`
	Shards      int    `json:"shards"`
	Groups      int    `json:"groups"`
	Clock       string `json:"clock"`
	Fingerprint string `json:"fingerprint"`
	Incarnation uint64 `json:"incarnation"`
	// Generation counts the lives of this node's replicas: one that rejoins
	// after a loss gets a new name, because it can't keep the old one's word.
	Generation int `json:"generation"`
}

// identityFormat is the version of the layout of a data directory.
const identityFormat = 1

// directory is an open data directory.
type directory struct {
	path string
	lock *os.File
	identity
}

// openDirectory takes a data directory for this process, or makes it.
func openDirectory(cfg *Config) (*directory, error) {
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
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
	return d.identify(identity{Format: identityFormat, Cluster: cfg.Cluster, Node: cfg.ID, Shards: cfg.Shards, Groups: cfg.Groups,
		Clock: cfg.Clock, Fingerprint: cfg.Fingerprint, Incarnation: 1, Generation: 1})
}

// identify reads the identity and compares it, or writes it into an empty
// directory.
func (d *directory) identify(want identity) error {
	path := filepath.Join(d.path, identityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.mustBeEmpty(); err != nil {
			return err
		}
		d.identity = want
		return writeIdentity(path, want)
	}
	if err != nil {
		return fmt.Errorf("data directory %w", err)
	}
	if err := json.Unmarshal(b, &d.identity); err != nil {
		return fmt.Errorf("%w: %s is not readable: %w", ErrForeign, path, err)
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
	if d.Format > identityFormat {
		return fmt.Errorf("%w: %s was written by a newer version (format %d, this one knows %d)", ErrForeign, d.path, d.Format, identityFormat)
	}
	var differs []string
	check := func(what string, has, asked any) {
		if has != asked {
			differs = append(differs, fmt.Sprintf("%s is %v, not %v", what, has, asked))
		}
	}
	check("cluster", d.Cluster, want.Cluster)
	check("node", d.Node, want.Node)
	check("shards", d.Shards, want.Shards)
	check("groups", d.Groups, want.Groups)
	check("clock", d.Clock, want.Clock)
	check("pseudonym key's fingerprint", d.Fingerprint, want.Fingerprint)
	if len(differs) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: %s", ErrForeign, d.path, strings.Join(differs, "; "))
}

// writeIdentity writes the file so that it is there as a whole or not at all.
func writeIdentity(path string, id identity) error {
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	partial := path + ".partial"
	f, err := os.Create(partial)
	if err != nil {
		return fmt.Errorf("data directory %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("data directory %s: %w", partial, err)
	}
	if err := os.Rename(partial, path); err != nil {
		return fmt.Errorf("data directory %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("data directory %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// replica is the name of this node's replicas.
func (d *directory) replica() string { return fmt.Sprintf("%s.%d", d.Node, d.Generation) }

// groupDir is where a group keeps its files.
func (d *directory) groupDir(group int) string {
	return filepath.Join(d.path, fmt.Sprintf("group-%d", group))
}

// close gives the directory back.
func (d *directory) close() error { return d.lock.Close() }
