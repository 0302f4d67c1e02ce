//go:build faults

package faultdisk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Op is a kind of access.
type Op string

// Kinds of access.
const (
	OpRead    Op = "read"
	OpCreate  Op = "create"
	OpWrite   Op = "write"
	OpSync    Op = "sync"
	OpSyncDir Op = "sync of a directory"
	OpRename  Op = "rename"
	OpLink    Op = "link"
	OpRemove  Op = "remove"
	OpMkdir   Op = "make a directory"
)

// Disk is what lies below a folder.
type Disk struct {
	root, shadow string
	// Before is asked ahead of every access; an error makes it fail. It may take
	// an image. It must be set before the disk is used.
	Before func(op Op, path string) error
	slow   func(op Op, path string) time.Duration

	mu      sync.Mutex // guards what follows
	top     *node
	pending []naming // oldest first
	files   int
}

var disks struct {
	mu   sync.RWMutex // guards list
	list []*Disk
}

// Attach puts what lies in a folder, which must exist, on a disk of its own. All
// of it counts as synced.
func Attach(root string) (*Disk, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	d := &Disk{root: root, shadow: root + ".shadow", slow: func(Op, string) time.Duration { return 0 }}
	if err := errors.Join(os.RemoveAll(d.shadow), os.Mkdir(d.shadow, 0o755)); err != nil {
		return nil, err
	}
	if d.top, err = d.adopt(root); err != nil {
		return nil, err
	}
	disks.mu.Lock()
	defer disks.mu.Unlock()
	disks.list = append(disks.list, d)
	return d, nil
}

// Detach ends the disk. Its files stay.
func (d *Disk) Detach() error {
	disks.mu.Lock()
	for i, other := range disks.list {
		if other == d {
			disks.list = append(disks.list[:i:i], disks.list[i+1:]...)
			break
		}
	}
	disks.mu.Unlock()
	return os.RemoveAll(d.shadow)
}

// diskOf finds the disk of a path, nil if it lies on none.
func diskOf(path string) (*Disk, string) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, path
	}
	obey()
	disks.mu.RLock()
	defer disks.mu.RUnlock()
	for _, d := range disks.list {
		if path == d.root || strings.HasPrefix(path, d.root+string(filepath.Separator)) {
			return d, path
		}
	}
	return nil, path
}

// before asks whether an access may go on.
func (d *Disk) before(op Op, path string) error {
	if wait := d.slow(op, path); wait > 0 {
		time.Sleep(wait)
	}
	if d.Before == nil {
		return nil
	}
	if err := d.Before(op, path); err != nil {
		return &os.PathError{Op: string(op), Path: path, Err: err}
	}
	return nil
}

// change makes a change of names: of the files, and of what is known of them.
func (d *Disk) change(op Op, path string, do func() error, note func() naming) error {
	if err := d.before(op, path); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := do(); err != nil {
		return err
	}
	if c := note(); len(c) > 0 {
		d.rename(c)
	}
	return nil
}
