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
)

// Errors of OpenDataDir.
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

// DataDir is the directory of a system in one process. It belongs to one
// process at a time, until Close.
type DataDir struct {
	Path string
	Key  wire.Key // of pseudonyms, made at the first opening
	New  bool     // made by this opening
	lock *os.File
}

// marker tells our directories from others', and old layouts from new ones.
type marker struct {
	Format string `json:"format"`
	Layout int    `json:"layout"`
}

var thisLayout = marker{Format: "anabranch data directory", Layout: 1}

// Node, Broker and Sample are where the parts keep their files.
func (d *DataDir) Node() string   { return filepath.Join(d.Path, "node") }
func (d *DataDir) Broker() string { return filepath.Join(d.Path, "kafka") }
func (d *DataDir) Sample() string { return filepath.Join(d.Path, "sample.json") }

// OpenDataDir opens a directory of ours, or makes one where there is none or
// an empty one.
func OpenDataDir(path string) (*DataDir, error) {
	d := &DataDir{Path: path}
	if err := d.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", path, err), d.Close())
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
			return fmt.Errorf("%w; stop that one, or name another directory with --data", ErrInUse)
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
	if err := json.Unmarshal(text, &m); err != nil || m.Format != thisLayout.Format {
		return fmt.Errorf("%w: %s is not what it should be", ErrForeign, markerName)
	}
	if m.Layout != thisLayout.Layout {
		return fmt.Errorf("has layout %d, this build knows %d; use the version that wrote it", m.Layout, thisLayout.Layout)
	}
	return nil
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
	text, err := json.Marshal(thisLayout)
	if err != nil {
		return err
	}
	return bare(writeFile(filepath.Join(d.Path, markerName), append(text, '\n')))
}

func (d *DataDir) loadKey() error {
	path := filepath.Join(d.Path, keyName)
	var err error
	if d.Key, err = wire.LoadKey(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(d.Node()); err == nil {
		return fmt.Errorf("%s is missing: without it the people in the state can't be recognised; put it back", keyName)
	}
	d.Key, err = wire.CreateKey(path)
	return err
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
	return os.Rename(path+".new", path)
}

// bare drops the path, which the caller names already, from a file error.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}
