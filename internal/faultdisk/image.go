//go:build faults

package faultdisk

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Loss says what becomes of that which was not synced.
type Loss string

// Losses.
const (
	Nothing Loss = "nothing is lost" // the process was killed, the machine was not
	All     Loss = "all is lost that was not synced"
	Rest    Loss = "a prefix of the changes of names is kept, and of each file's sectors"
	Some    Loss = "any of it is lost"
)

// Losses are all of them.
var Losses = []Loss{Nothing, All, Rest, Some}

// chance decides about one thing after the other.
type chance struct {
	loss Loss
	rng  *rand.Rand
}

// prefix is how many of n count.
func (c chance) prefix(n int) int {
	switch c.loss {
	case Nothing:
		return n
	case All:
		return 0
	}
	return c.rng.IntN(n + 1)
}

// keeps says whether number i of n counts, of which a prefix could.
func (c chance) keeps(i, prefix int) bool {
	if c.loss == Some {
		return c.rng.IntN(2) == 0
	}
	return i < prefix
}

// Image writes to a new folder what would be found on the disk if the power went
// now.
func (d *Disk) Image(to string, loss Loss, seed uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.image(to, loss, seed)
}

func (d *Disk) image(to string, loss Loss, seed uint64) error {
	c := chance{loss, rand.New(rand.NewPCG(seed, 0))}
	views := map[*node]map[string]*node{}
	view := func(dir *node) map[string]*node {
		if views[dir] == nil {
			views[dir] = maps.Clone(dir.kept)
		}
		return views[dir]
	}
	prefix := c.prefix(len(d.pending))
	for i, change := range d.pending {
		if c.keeps(i, prefix) {
			change.apply(view)
		}
	}
	return d.write(d.top, to, c, view, map[*node]string{})
}

// write writes a directory. Files with two names keep them.
func (d *Disk) write(dir *node, to string, c chance, view func(*node) map[string]*node, done map[*node]string) error {
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	entries := view(dir)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		n, path := entries[name], filepath.Join(to, name)
		var err error
		switch {
		case n.dir:
			err = d.write(n, path, c, view, done)
		case done[n] != "":
			err = os.Link(done[n], path)
		default:
			err = n.copy(path, c)
			done[n] = path
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copy writes a file as it would be found.
func (n *node) copy(to string, c chance) error {
	info, err := os.Stat(n.backing)
	if err != nil {
		return err
	}
	if n.clean(info.Size()) && strings.HasSuffix(to, ".sst") { // which are never written to again
		return os.Link(n.backing, to)
	}
	b, err := os.ReadFile(n.backing)
	if err != nil {
		return err
	}
	size := n.size
	if c.loss == Nothing || c.loss != All && c.rng.IntN(2) == 0 {
		size = max(size, int64(len(b)))
	}
	dirty := slices.Sorted(maps.Keys(n.old))
	prefix := c.prefix(len(dirty))
	for i, at := range dirty {
		if c.keeps(i, prefix) {
			size = max(size, min(int64(len(b)), (at+1)*sector))
		} else {
			putBack(b, at, n.old[at])
		}
	}
	if c.loss != Nothing {
		for at, was := range n.lost {
			putBack(b, at, was)
		}
	}
	for at, was := range n.held {
		putBack(b, at, was)
	}
	return os.WriteFile(to, b[:min(size, int64(len(b)))], 0o644)
}

// putBack puts a sector back to what was on the disk.
func putBack(b []byte, at int64, was []byte) {
	from := min(at*sector, int64(len(b)))
	place := b[from:min(from+sector, int64(len(b)))]
	clear(place)
	copy(place, was)
}

// CutPower puts what would be found in the place of what is there. The disk takes
// nothing any more; the caller ends the process.
func (d *Disk) CutPower(loss Loss, seed uint64) error {
	d.mu.Lock() // for good
	after := d.root + ".after"
	if err := d.image(after, loss, seed); err != nil {
		return err
	}
	return errors.Join(os.Rename(d.root, d.root+".before"), os.Rename(after, d.root), os.RemoveAll(d.root+".before"), os.RemoveAll(d.shadow))
}
