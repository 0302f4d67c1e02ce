//go:build faults

package faultdisk

import (
	"bytes"
	"errors"
	"os"
)

// Commit runs a commit of a file of pages that is written by somebody else, past
// this package: first pages of data, which are synced, then one of those pages
// that say which are in use, the first two, which is synced too. Afterwards the
// disk learns of each step as if it happened only now.
func Commit(path string, pageSize int64, commit func() error) error {
	d, path := diskOf(path)
	if d == nil {
		return commit()
	}
	if err := d.before(OpWrite, path); err != nil {
		return err
	}
	d.mu.Lock()
	_, _, n := d.find(path)
	before, err := os.ReadFile(path)
	if err == nil {
		err = commit()
	}
	var after []byte
	if err == nil {
		after, err = os.ReadFile(path)
	}
	if err != nil || n == nil {
		d.mu.Unlock()
		return err
	}
	for at := int64(0); at*sector < int64(len(after)); at++ {
		was := part(before, at)
		switch {
		case bytes.Equal(was, part(after, at)):
		case at*sector < 2*pageSize:
			n.held[at] = was
		default:
			n.old[at] = was
		}
	}
	d.mu.Unlock()
	for _, step := range []func() error{n.sync, n.release, n.sync} {
		err := d.before(OpSync, path)
		d.mu.Lock()
		if err != nil {
			n.lose()
		} else {
			err = step()
		}
		d.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// release has writes happen that were only about to.
func (n *node) release() error {
	for at, was := range n.held {
		n.old[at] = was
	}
	clear(n.held)
	return nil
}

func part(b []byte, at int64) []byte {
	from := min(at*sector, int64(len(b)))
	return b[from:min(from+sector, int64(len(b)))]
}

// Adopt has a disk know a file that somebody else has made, durably.
func Adopt(path string) error {
	d, path := diskOf(path)
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base, n := d.find(path)
	if dir == nil {
		return errors.New(path + " is in no directory of its disk")
	}
	if n != nil {
		return nil
	}
	n, err := d.adoptFile(path)
	if err == nil {
		dir.now[base] = n
		d.syncDir(dir)
		dir.kept[base] = n
	}
	return err
}
