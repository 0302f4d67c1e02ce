package assembly

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/raftlog"
)

// Errors of opening a data directory.
var (
	// ErrInUse: another process has the directory.
	ErrInUse = errors.New("in use by another process")
	// ErrForeign: the directory holds something else.
	ErrForeign = errors.New("not an Anabranch data directory")
)

// Names in a data directory.
const (
	markerName = "anabranch.json"
	lockName   = "lock"
	keyName    = "pseudonym.key"
)

// DataDirConfig says which directory to open. Path is required.
type DataDirConfig struct {
	Path string
	// Nodes is how many nodes of a cluster are in it, fixed when it is made.
	// Default 1.
	Nodes int
	// KeyFile holds the pseudonym key. Default: one in the directory, made at
	// the first opening.
	KeyFile string
	// PathSetting and NodesSetting name what Path and Nodes were set by, for
	// errors. Default --data and --nodes.
	PathSetting, NodesSetting string
}

// DataDir is the directory of a process. It belongs to one process at a time,
// until Close.
type DataDir struct {
	Path string
	Key  wire.Key // of pseudonyms
	New  bool     // made by this opening

	cfg  DataDirConfig
	lock *os.File
}

// marker tells our directories from others', and old layouts from new ones.
type marker struct {
	Format string `json:"format"`
	Layout int    `json:"layout"`
	Nodes  int    `json:"nodes,omitempty"` // if more than one
}

const (
	markerFormat = "anabranch data directory"
	thisLayout   = 2 // 2: rows of policies, decisions and places have more fields
)

// Broker and Sample are where the parts keep their files.
func (d *DataDir) Broker() string { return filepath.Join(d.Path, "kafka") }
func (d *DataDir) Sample() string { return filepath.Join(d.Path, "sample.json") }

// Node is where the only node, or the i-th of several, keeps its files.
func (d *DataDir) Node(i int) string {
	if d.cfg.Nodes == 1 {
		return filepath.Join(d.Path, "node")
	}
	return filepath.Join(d.Path, fmt.Sprintf("n%d", i+1))
}

// OpenDataDir opens the directory of one node that keeps its key there.
func OpenDataDir(path string) (*DataDir, error) { return DataDirConfig{Path: path}.Open() }

// Open opens a directory of ours, or makes one where there is none or an empty
// one.
func (c DataDirConfig) Open() (*DataDir, error) {
	c.Nodes = max(c.Nodes, 1)
	if c.PathSetting == "" {
		c.PathSetting, c.NodesSetting = "--data", "--nodes"
	}
	d := &DataDir{Path: c.Path, cfg: c}
	if err := d.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", c.Path, err), d.Close())
	}
	return d, nil
}

// Close lets the directory go.
func (d *DataDir) Close() error {
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close() // which releases the lock
	d.lock = nil
	return err
}

func (d *DataDir) open() error {
	if err := os.MkdirAll(d.Path, 0o755); err != nil {
		return bare(err)
	}
	// Looked at before anything is written into it.
	if err := d.recognise(); err != nil {
		return err
	}
	var err error
	if d.lock, err = os.OpenFile(filepath.Join(d.Path, lockName), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return bare(err)
	}
	if err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%w; stop that one, or name another directory with %s", ErrInUse, d.cfg.PathSetting)
		}
		return fmt.Errorf("lock: %w", err)
	}
	if d.New {
		if err := d.mark(); err != nil {
			return err
		}
	}
	return d.loadKey()
}

// recognise reads the marker. A directory without one must be empty, or one
// whose first opening was cut off.
func (d *DataDir) recognise() error {
	text, err := os.ReadFile(filepath.Join(d.Path, markerName))
	if errors.Is(err, fs.ErrNotExist) {
		d.New = true
		return d.refuseOthers()
	}
	if err != nil {
		return bare(err)
	}
	var m marker
	if err := json.Unmarshal(text, &m); err != nil || m.Format != markerFormat {
		return fmt.Errorf("%w: %s is not what it should be", ErrForeign, markerName)
	}
	if m.Layout != thisLayout {
		return fmt.Errorf("has layout %d, this build knows %d; use the version that wrote it", m.Layout, thisLayout)
	}
	if has := max(m.Nodes, 1); has != d.cfg.Nodes {
		return fmt.Errorf("holds a cluster of %s, not of %d: start it with %s %d, or name another directory with %s",
			nodes(has), d.cfg.Nodes, d.cfg.NodesSetting, has, d.cfg.PathSetting)
	}
	return nil
}

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

func (d *DataDir) refuseOthers() error {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return bare(err)
	}
	for _, e := range entries {
		if e.Name() != lockName && e.Name() != markerName+".new" {
			return fmt.Errorf("%w: it holds %s; name an empty or new directory", ErrForeign, e.Name())
		}
	}
	return nil
}

// mark writes the marker whole or not at all.
func (d *DataDir) mark() error {
	m := marker{Format: markerFormat, Layout: thisLayout}
	if d.cfg.Nodes > 1 {
		m.Nodes = d.cfg.Nodes
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return bare(writeFile(filepath.Join(d.Path, markerName), append(text, '\n')))
}

func (d *DataDir) loadKey() error {
	var err error
	if d.cfg.KeyFile != "" {
		d.Key, err = wire.LoadKey(d.cfg.KeyFile)
		return err
	}
	path := filepath.Join(d.Path, keyName)
	if d.Key, err = wire.LoadKey(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(d.Node(0)); err == nil {
		return fmt.Errorf("%s is missing: without it the people in the state can't be recognised; put it back", keyName)
	}
	d.Key, err = wire.CreateKey(path)
	return errors.Join(err, raftlog.SyncDir(filepath.Dir(path)))
}

// writeFile replaces a file, durably, so that a reader sees the old or the new
// text.
func writeFile(path string, text []byte) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(path+".new", path), raftlog.SyncDir(filepath.Dir(path)))
}

// bare drops the path, which the caller names already, from a file error.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}
