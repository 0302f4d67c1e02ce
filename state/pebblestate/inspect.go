package pebblestate

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// Inspected is a store that is only looked at.
type Inspected struct {
	Applied uint64
	Tables  int // files
	Bytes   int64
	Rows    int64
	Digests []state.ShardDigest // as they are kept
	// Shards are those that have rows, in order.
	Shards []state.Shard
	// Newer is the highest feature level of rows that are of a later one than
	// Options.Knows, 0 if there are none: they are compared with their digests, but
	// not decoded.
	Newer uint8
	// Reader reads the rows. It is nil if some can't be read, whatever keeps them
	// from it.
	Reader state.Reader

	s *Store
}

// Inspect looks at a store that no process has open, and writes nothing. It
// reads every block of every table and decodes every row. fault is told where
// something is wrong, and what; it is no error. The caller must close what is
// returned.
func Inspect(ctx context.Context, o Options, fault func(place string, err error)) (*Inspected, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("inspect state: %w", err)
	}
	o = o.withDefaults()
	o.FS = readOnlyFS{o.FS}
	n := &Inspected{s: newStore(o)}
	n.s.pebble = n.s.pebbleOptions()
	if err := n.inspect(ctx, fault); err != nil {
		return nil, errors.Join(fmt.Errorf("inspect state %s: %w", o.Dir, flatError{err}), n.Close())
	}
	return n, nil
}

// Close gives the files back.
func (n *Inspected) Close() error {
	if n.s.db == nil {
		return nil
	}
	var err error
	if n.Reader != nil {
		err = n.Reader.Close()
	}
	err = errors.Join(err, n.s.db.Close())
	n.s.db = nil
	n.s.pebble.Cache.Unref()
	return err
}

func (n *Inspected) inspect(ctx context.Context, fault func(place string, err error)) error {
	fs, dir := n.s.o.FS, n.s.o.Dir
	if _, err := fs.Stat(dir); err != nil {
		fault("state", damage(err))
		return nil
	}
	bad, err := n.inspectFiles(ctx)
	if err != nil {
		return err
	}
	n.inspectMark(fault)
	desc, err := checkDirectory(fs, dir)
	if err == nil {
		if _, err = checkManifest(fs, dir, desc); err == nil && !desc.Exists {
			return nil // never written to
		}
	}
	if err != nil { // Pebble would read another list of files, and not what was last
		fault("state manifest", flatError{damage(err)})
	} else if err = damage(n.open()); err != nil {
		if !isDisk(err) && !errors.Is(err, ErrFormat) && !errors.Is(err, state.ErrDamaged) {
			err = fmt.Errorf("%w: %w", state.ErrDamaged, err) // its marks say that it was a good store
		}
		fault("state", flatError{err})
	}
	if err == nil {
		if bad, err = n.used(bad); err != nil {
			return err
		}
	}
	for _, b := range bad {
		fault("state/"+b.name, fmt.Errorf("%w: %w", state.ErrDamaged, flatError{b.err}))
	}
	switch {
	case n.s.db == nil:
		return nil
	case len(bad) > 0:
		fault("state rows", fmt.Errorf("%w: not compared with their digests, because a table can't be read", state.ErrDamaged))
		return nil
	}
	return n.inspectRows(ctx, fault)
}

// inspectMark names a slot of the MANIFEST's mark that is not as it was written:
// the other one, which may be older, is used instead of it.
func (n *Inspected) inspectMark(fault func(place string, err error)) {
	b, err := readFile(n.s.o.FS, n.s.o.FS.PathJoin(n.s.o.Dir, markName), markSpace+markSlot)
	if err != nil {
		return // what that means depends on what else is there
	}
	for slot := range 2 {
		at := min(slot*markSpace, len(b))
		var m manifestMarks
		if m.decode(b[at:]); m.sequence == 0 {
			fault("state manifest", fmt.Errorf("%w: %s: checksum of slot %d does not match", state.ErrDamaged, markName, slot))
		}
	}
}

// badFile is a table that can't be read.
type badFile struct {
	name string
	err  error
}

// inspectFiles checks the blocks of all tables.
func (n *Inspected) inspectFiles(ctx context.Context) (bad []badFile, err error) {
	fs, dir := n.s.o.FS, n.s.o.Dir
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		path := fs.PathJoin(dir, name)
		if info, err := fs.Stat(path); err == nil {
			n.Tables++
			n.Bytes += info.Size()
		}
		err := checkTable(ctx, fs, path, n.s.pebble.MakeReaderOptions())
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			bad = append(bad, badFile{name, err})
		}
	}
	return bad, nil
}

// used leaves out tables that a crash left half written: nothing refers to them.
func (n *Inspected) used(bad []badFile) ([]badFile, error) {
	levels, err := n.s.db.SSTables()
	if err != nil {
		return nil, err
	}
	live := map[string]bool{}
	for _, level := range levels {
		for _, t := range level {
			live[fmt.Sprintf("%s.sst", t.BackingSSTNum)] = true
		}
	}
	return slices.DeleteFunc(bad, func(b badFile) bool { return !live[b.name] }), nil
}

// open opens the store to be read.
func (n *Inspected) open() (err error) {
	defer catch(&err)
	o := n.s.pebble
	o.ReadOnly, o.Cache, o.FS, o.Logger = true, pebble.NewCache(n.s.o.CacheBytes), n.s.o.FS, silent{}
	o.EventListener = &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}}
	if n.s.db, err = pebble.Open(n.s.o.Dir, o); err != nil {
		o.Cache.Unref()
		return err
	}
	if err := n.s.readMeta(); err != nil {
		return err
	}
	n.Applied = n.s.applied
	n.Digests = state.SortDigests(n.s.writer.pending.digests.all)
	return nil
}

// inspectRows decodes every row and compares digests. Only a reader of rows that
// can all be read is handed out.
func (n *Inspected) inspectRows(ctx context.Context, fault func(place string, err error)) error {
	v := &view{s: n.s, index: n.Applied, snapshot: n.s.db.NewSnapshot()}
	n.s.views[v] = struct{}{}
	n.Reader = v
	readable := true
	rows := map[state.Shard]state.Digest{}
	var buf []byte
	err := iterate(v.snapshot, []byte{rowSpace}, []byte{rowSpace + 1}, func(it *pebble.Iterator) (bool, error) {
		stored, err := it.ValueAndErr()
		if err != nil {
			return false, err
		}
		n.Rows++
		key := it.Key()[1:]
		if err := n.inspectRow(key, stored); err != nil {
			readable = false
			fault("state row", damage(err))
		}
		if len(key) >= 2 {
			buf = append(append(buf[:0], key...), stored...)
			shard := state.Shard(binary.BigEndian.Uint16(key))
			rows[shard] = rows[shard].Add(codec.Hash(buf, len(key)))
		}
		return true, ctx.Err()
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		readable = false
		fault("state rows", flatError{damage(err)})
	} else {
		n.compareDigests(rows, fault)
	}
	n.Shards = slices.Sorted(maps.Keys(rows))
	if !readable || n.Newer > 0 {
		err := n.Reader.Close()
		n.Reader = nil
		return err
	}
	return nil
}

// inspectRow decodes a row. One of a table that this build doesn't know is left
// alone.
func (n *Inspected) inspectRow(key, stored []byte) error {
	id, table, row, err := codec.DecodeKey(key)
	if err != nil {
		return err
	}
	t := n.s.tables[table]
	if t == nil {
		return nil
	}
	if level, err := codec.StoredLevel(stored); err == nil && n.s.o.Knows > 0 && level > n.s.o.Knows {
		n.Newer = max(n.Newer, level)
		return nil
	}
	if _, err := codec.DecodeRow(n.s.o.Codec, stored, t.New()); err != nil {
		return fmt.Errorf("shard %d: row %q of %s at %q: %w", id.Shard, row, t, bytes.ToValidUTF8([]byte(id.Key), []byte("?")), err)
	}
	return nil
}

// compareDigests names every shard whose rows are not what its digest says.
func (n *Inspected) compareDigests(rows map[state.Shard]state.Digest, fault func(place string, err error)) {
	kept := map[state.Shard]state.Digest{}
	for _, d := range n.Digests {
		kept[d.Shard] = d.Digest
		rows[d.Shard] = rows[d.Shard].Add(state.Digest{}) // a shard without rows counts too
	}
	for _, shard := range slices.Sorted(maps.Keys(rows)) {
		if rows[shard] != kept[shard] {
			fault(fmt.Sprintf("state shard %d", shard),
				damage(&DigestError{Index: n.Applied, Shard: shard, Stored: kept[shard], Rows: rows[shard]}))
		}
	}
}

// errReadOnly says that something was to be written while a store is looked at.
var errReadOnly = fmt.Errorf("the store is only looked at: %w", os.ErrPermission)
