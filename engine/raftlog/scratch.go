package raftlog

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// scratchFS is a disk on which what is written is seen by the file that wrote
// it, and by nobody else: nothing on the real disk changes.
type scratchFS struct{}

var _ types.VFS = scratchFS{}

// ListDir implements types.VFS, as do the methods below.
func (scratchFS) ListDir(dir string) ([]string, error) { return fs.New().ListDir(dir) }

func (scratchFS) Create(_, _ string, _ uint64) (types.WritableFile, error) {
	return &scratchFile{pages: map[int64][]byte{}}, nil
}

func (scratchFS) Delete(string, string) error { return nil }

func (scratchFS) OpenReader(dir, name string) (types.ReadableFile, error) {
	return os.Open(filepath.Join(dir, name))
}

func (scratchFS) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	return &scratchFile{under: f, pages: map[int64][]byte{}}, nil
}

const scratchPage = 4096

// scratchFile is a file below changes that are kept in memory.
type scratchFile struct {
	under *os.File // nil: a new file
	pages map[int64][]byte
	end   int64 // of what was written
}

// ReadAt implements types.WritableFile, as do the methods below.
func (f *scratchFile) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	if f.under != nil {
		var err error
		if n, err = f.under.ReadAt(b, off); err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	if written := f.end - off; int64(n) < written {
		more := int(min(int64(len(b)), written))
		clear(b[n:more])
		n = more
	}
	for at := off; at < off+int64(n); {
		number, in := at/scratchPage, at%scratchPage
		step := min(scratchPage-in, off+int64(n)-at)
		if page := f.pages[number]; page != nil {
			copy(b[at-off:at-off+step], page[in:])
		}
		at += step
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *scratchFile) WriteAt(b []byte, off int64) (int, error) {
	for at := off; at < off+int64(len(b)); {
		number, in := at/scratchPage, at%scratchPage
		page := f.pages[number]
		if page == nil {
			page = make([]byte, scratchPage)
			if _, err := f.ReadAt(page, number*scratchPage); err != nil && !errors.Is(err, io.EOF) {
				return 0, err
			}
			f.pages[number] = page
		}
		at += int64(copy(page[in:], b[at-off:]))
	}
	f.end = max(f.end, off+int64(len(b)))
	return len(b), nil
}

func (f *scratchFile) Sync() error { return nil }

func (f *scratchFile) Close() error {
	if f.under == nil {
		return nil
	}
	return f.under.Close()
}
