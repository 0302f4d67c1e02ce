//go:build faults

package faultdisk

import (
	"io"
	"os"
	"sync"
)

// File is an open file.
type File struct {
	f    *os.File
	d    *Disk // nil: it lies on none
	n    *node
	path string

	mu sync.Mutex // guards at
	at int64      // where the next Write goes
}

// Write implements io.Writer.
func (f *File) Write(b []byte) (int, error) {
	if f.d == nil {
		return f.f.Write(b)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.WriteAt(b, f.at)
	f.at += int64(n)
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *File) WriteAt(b []byte, off int64) (int, error) {
	if f.n == nil {
		return f.f.WriteAt(b, off)
	}
	if err := f.d.before(OpWrite, f.path); err != nil {
		return 0, err
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.n.write(f.f, off, int64(len(b))); err != nil {
		return 0, err
	}
	return f.f.WriteAt(b, off)
}

// Read implements io.Reader.
func (f *File) Read(b []byte) (int, error) {
	if f.d == nil {
		return f.f.Read(b)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.ReadAt(b, f.at)
	f.at += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(b []byte, off int64) (int, error) {
	if f.d != nil {
		if err := f.d.before(OpRead, f.path); err != nil {
			return 0, err
		}
	}
	return f.f.ReadAt(b, off)
}

// Sync makes what was written durable.
func (f *File) Sync() error {
	if f.n == nil {
		return f.f.Sync()
	}
	err := f.d.before(OpSync, f.path)
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err != nil {
		f.n.lose()
		return err
	}
	return f.n.sync()
}

// Stat describes the file.
func (f *File) Stat() (os.FileInfo, error) { return f.f.Stat() }

// Close implements io.Closer.
func (f *File) Close() error { return f.f.Close() }
