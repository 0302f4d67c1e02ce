//go:build faults

package faultdisk

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sector is what is written as a whole or not at all.
const sector = 512

// node is a file or a directory.
type node struct {
	dir       bool
	now, kept map[string]*node // of a directory: entries as they are, and as they are on the disk

	// Of a file: what a sector held when it was synced last, for those written
	// since. Nothing stands for zeros, or a place behind the end.
	backing string // a link to it that stays
	size    int64  // on the disk
	old     map[int64][]byte
	lost    map[int64][]byte // the same, where a sync failed: they never get there
	held    map[int64][]byte // the same, where the write is only about to happen
}

func newDir() *node { return &node{dir: true, now: map[string]*node{}, kept: map[string]*node{}} }

func (d *Disk) newFile() *node {
	d.files++
	return &node{backing: filepath.Join(d.shadow, fmt.Sprint(d.files)),
		old: map[int64][]byte{}, lost: map[int64][]byte{}, held: map[int64][]byte{}}
}

// clean says that all of a file is on the disk.
func (n *node) clean(size int64) bool {
	return len(n.old)+len(n.lost)+len(n.held) == 0 && n.size == size
}

// naming is a change of directories that is not on the disk yet. It gets there
// as a whole.
type naming []named

type named struct {
	in   *node
	name string
	to   *node // nil: the name is gone
}

func (c naming) touches(dir *node) bool {
	return slices.ContainsFunc(c, func(n named) bool { return n.in == dir })
}

// apply makes the change in a view of directories.
func (c naming) apply(entries func(dir *node) map[string]*node) {
	for _, n := range c {
		if n.to == nil {
			delete(entries(n.in), n.name)
		} else {
			entries(n.in)[n.name] = n.to
		}
	}
}

// rename notes a change of names.
func (d *Disk) rename(c naming) {
	c.apply(func(dir *node) map[string]*node { return dir.now })
	d.pending = append(d.pending, c)
}

// find looks a path up; base is what is left of it if only its directory is there.
func (d *Disk) find(path string) (dir *node, base string, n *node) {
	rel, err := filepath.Rel(d.root, path)
	if err != nil || rel == "." {
		return nil, "", d.top
	}
	at := d.top
	parts := strings.Split(rel, string(filepath.Separator))
	for _, part := range parts[:len(parts)-1] {
		if at = at.now[part]; at == nil || !at.dir {
			return nil, "", nil
		}
	}
	base = parts[len(parts)-1]
	return at, base, at.now[base]
}

// adopt takes what lies in a folder for what is on the disk.
func (d *Disk) adopt(path string) (*node, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	n := newDir()
	for _, e := range entries {
		below := filepath.Join(path, e.Name())
		var child *node
		if e.IsDir() {
			child, err = d.adopt(below)
		} else {
			child, err = d.adoptFile(below)
		}
		if err != nil {
			return nil, err
		}
		n.now[e.Name()], n.kept[e.Name()] = child, child
	}
	return n, nil
}

// adoptFile does so with a file. One with two names counts as two: neither is
// written to in this system.
func (d *Disk) adoptFile(path string) (*node, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	n := d.newFile()
	n.size = info.Size()
	return n, os.Link(path, n.backing)
}

// write notes what a write will cover.
func (n *node) write(f *os.File, off, length int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for at := off / sector; at*sector < off+length; at++ {
		if _, known := n.old[at]; known {
			continue
		}
		if b, known := n.lost[at]; known {
			delete(n.lost, at)
			n.old[at] = b
			continue
		}
		n.old[at] = nil
		if at*sector < info.Size() {
			b := make([]byte, sector)
			k, err := f.ReadAt(b, at*sector)
			if err != nil && k == 0 {
				return err
			}
			n.old[at] = b[:k]
		}
	}
	return nil
}

// sync notes that all of a file is on the disk now.
func (n *node) sync() error {
	info, err := os.Stat(n.backing)
	if err == nil {
		clear(n.old)
		n.size = info.Size()
	}
	return err
}

// lose notes that a sync failed: the system takes what was written for synced.
func (n *node) lose() {
	maps.Copy(n.lost, n.old)
	clear(n.old)
}

// syncDir notes that a directory's entries are on the disk now.
func (d *Disk) syncDir(dir *node) {
	d.pending = slices.DeleteFunc(d.pending, func(c naming) bool {
		if !c.touches(dir) {
			return false
		}
		c.apply(func(n *node) map[string]*node { return n.kept })
		return true
	})
}
