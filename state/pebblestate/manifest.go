package pebblestate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/zeebo/xxh3"

	"anabranch.dev/state"
)

// Pebble's MANIFEST lists the files of a store, in records with checksums. A bad
// record looks to it like the end of a file that a crash cut short: it would open
// the store as it was earlier, without a word. So each time a MANIFEST is synced,
// its length and a hash of everything in it are noted in a file beside it, and
// checked before Pebble opens the store. What is behind that length was never
// called durable, and may be anything.
const (
	markName  = "manifest-mark"
	markSlot  = 76
	markSpace = 4096 // slots stand in sectors of their own, and are written in turn
	markMagic = 0x6d616e69
)

// manifestMark is what a MANIFEST was when it was synced last.
type manifestMark struct {
	number uint64 // in its name
	length int64
	hash   uint64
}

// manifestMarks are the marks of a directory: those of the MANIFEST written last
// and of the one before, which is in use until a new one is complete.
type manifestMarks struct {
	fs  vfs.FS
	dir string

	mu       sync.Mutex // guards what follows
	sequence uint64
	marks    [2]manifestMark
	f        vfs.File // nil until the first is recorded
}

func (m *manifestMarks) encode() []byte {
	b := make([]byte, 8, markSlot)
	b = binary.LittleEndian.AppendUint32(b, markMagic)
	b = binary.LittleEndian.AppendUint64(b, m.sequence)
	for _, k := range m.marks {
		b = binary.LittleEndian.AppendUint64(b, k.number)
		b = binary.LittleEndian.AppendUint64(b, uint64(k.length))
		b = binary.LittleEndian.AppendUint64(b, k.hash)
	}
	b = b[:markSlot]
	binary.LittleEndian.PutUint64(b, xxh3.Hash(b[8:]))
	return b
}

// decode reads a slot if it is newer than what is known.
func (m *manifestMarks) decode(b []byte) {
	if len(b) < markSlot || binary.LittleEndian.Uint64(b) != xxh3.Hash(b[8:markSlot]) || binary.LittleEndian.Uint32(b[8:]) != markMagic {
		return
	}
	sequence := binary.LittleEndian.Uint64(b[12:])
	if sequence <= m.sequence {
		return
	}
	m.sequence = sequence
	for i := range m.marks {
		at := b[20+24*i:]
		m.marks[i] = manifestMark{binary.LittleEndian.Uint64(at), int64(binary.LittleEndian.Uint64(at[8:])), binary.LittleEndian.Uint64(at[16:])}
	}
}

// readMarks reads a directory's marks. Without any there is no sequence.
func readMarks(fs vfs.FS, dir string) (m *manifestMarks, there bool, err error) {
	m = &manifestMarks{fs: fs, dir: dir}
	b, err := readFile(fs, fs.PathJoin(dir, markName), markSpace+markSlot)
	if isNotExist(err) {
		return m, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	m.decode(b)
	if len(b) > markSpace {
		m.decode(b[markSpace:])
	}
	return m, true, nil
}

// record notes a MANIFEST durably.
func (m *manifestMarks) record(k manifestMark) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.marks[0].number != k.number {
		m.marks[1] = m.marks[0]
	}
	m.marks[0] = k
	m.sequence++
	err := m.create()
	if err == nil {
		_, err = m.f.WriteAt(m.encode(), int64(m.sequence%2)*markSpace)
	}
	if err == nil {
		err = m.f.SyncData()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", markName, err)
	}
	return nil
}

// create makes a new file in the place of one that may be linked to others.
func (m *manifestMarks) create() error {
	if m.f != nil {
		return nil
	}
	path := m.fs.PathJoin(m.dir, markName)
	f, err := m.fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	b := make([]byte, markSpace+markSlot)
	copy(b, m.encode())
	copy(b[markSpace:], m.encode())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := m.fs.Rename(path+".new", path); err != nil {
		return err
	}
	if err := syncDirectory(m.fs, m.dir); err != nil {
		return err
	}
	m.f, err = m.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	return err
}

func (m *manifestMarks) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.f == nil {
		return nil
	}
	f := m.f
	m.f = nil
	return f.Close()
}

// check compares the MANIFEST that a store would be opened with to its mark.
func (m *manifestMarks) check(path string) error {
	name := m.fs.PathBase(path)
	m.mu.Lock()
	marks, sequence := m.marks, m.sequence
	m.mu.Unlock()
	if sequence == 0 {
		return fmt.Errorf("%w: %s: no valid mark", state.ErrDamaged, markName)
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(name, manifestPrefix), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %s is not a name", state.ErrDamaged, name)
	}
	for _, k := range marks {
		if k.number != number {
			continue
		}
		b, err := readFile(m.fs, path, k.length)
		switch {
		case err != nil && !isNotExist(err):
			return err
		case int64(len(b)) < k.length:
			return fmt.Errorf("%w: %s has %d bytes, %d were synced", state.ErrDamaged, name, len(b), k.length)
		case xxh3.Hash(b) != k.hash:
			return fmt.Errorf("%w: %s is not what was synced", state.ErrDamaged, name)
		}
		return nil
	}
	return fmt.Errorf("%w: %s is in use, and was never synced", state.ErrDamaged, name)
}

// checkManifest checks an existing store before Pebble reads it.
func checkManifest(fs vfs.FS, dir string, desc *pebble.DBDesc) (*manifestMarks, error) {
	m, there, err := readMarks(fs, dir)
	if err != nil {
		return nil, err
	}
	if !desc.Exists {
		// The first MANIFEST is synced before anything points to it, no other.
		if m.sequence > 1 {
			return nil, fmt.Errorf("%w: what points to %s is missing", state.ErrDamaged, manifestName(m.marks[0].number))
		}
		return &manifestMarks{fs: fs, dir: dir}, nil
	}
	if !there {
		return nil, missingMark(fs, desc)
	}
	if err := m.check(desc.ManifestFilename); err != nil {
		return nil, err
	}
	// Only the one in use may be what a new one replaces.
	if m.marks[1].number != 0 && !strings.HasSuffix(desc.ManifestFilename, manifestName(m.marks[0].number)) {
		m.marks[0] = m.marks[1]
	}
	m.marks[1] = manifestMark{}
	return m, nil
}

// missingMark says what a Pebble without marks is: ours, or another program's.
func missingMark(fs vfs.FS, desc *pebble.DBDesc) error {
	options, err := readFile(fs, desc.OptionsFilename, 1<<20)
	if err != nil && !isNotExist(err) {
		return err
	}
	if strings.Contains(string(options), comparer.Name) {
		return fmt.Errorf("%w: %s is missing", state.ErrDamaged, markName)
	}
	return fmt.Errorf("%w: it is another program's", ErrForeign)
}

const manifestPrefix = "MANIFEST-"

func manifestName(number uint64) string { return fmt.Sprintf("%s%06d", manifestPrefix, number) }

// manifestFile is a MANIFEST being written.
type manifestFile struct {
	vfs.File
	marks  *manifestMarks
	number uint64
	own    bool // marks are of this file alone
	length int64
	hash   *xxh3.Hasher
}

func newManifestFile(f vfs.File, name string, marks *manifestMarks, own bool) (vfs.File, error) {
	number, err := strconv.ParseUint(strings.TrimPrefix(name, manifestPrefix), 10, 64)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &manifestFile{File: f, marks: marks, number: number, own: own, hash: xxh3.New()}, nil
}

// Write implements [vfs.File], as do the methods below.
func (f *manifestFile) Write(b []byte) (int, error) {
	_, _ = f.hash.Write(b) // before the file may change b; it never fails
	n, err := f.File.Write(b)
	f.length += int64(n)
	return n, err
}

func (f *manifestFile) Sync() error {
	if err := f.File.Sync(); err != nil {
		return err
	}
	return f.record()
}

func (f *manifestFile) SyncData() error {
	if err := f.File.SyncData(); err != nil {
		return err
	}
	return f.record()
}

func (f *manifestFile) record() error {
	return f.marks.record(manifestMark{number: f.number, length: f.length, hash: f.hash.Sum64()})
}

func (f *manifestFile) Close() error {
	err := f.File.Close()
	if f.own {
		err = errors.Join(err, f.marks.close())
	}
	return err
}

// readFile reads at most limit bytes of a file.
func readFile(fs vfs.FS, path string, limit int64) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	return b, errors.Join(err, f.Close())
}

func syncDirectory(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
