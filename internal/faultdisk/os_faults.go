//go:build faults

package faultdisk

import (
	"errors"
	"os"
	"path/filepath"
	"sort"
)

// OpenFile is os.OpenFile, and so on.
func OpenFile(path string, flag int, perm os.FileMode) (*File, error) {
	d, path := diskOf(path)
	if d == nil {
		f, err := os.OpenFile(path, flag, perm)
		if err != nil {
			return nil, err
		}
		return &File{f: f}, nil
	}
	op := OpRead
	if flag&os.O_CREATE != 0 {
		op = OpCreate
	}
	if err := d.before(op, path); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base, n := d.find(path)
	if flag&os.O_TRUNC != 0 && n != nil {
		// As if it were made anew: whoever does this has given the old one up.
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		n = nil
	}
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		flag = flag&^os.O_WRONLY | os.O_RDWR // what is written over is read first
	}
	f, err := os.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	if n == nil && dir != nil && flag&os.O_CREATE != 0 {
		n = d.newFile()
		if err := os.Link(path, n.backing); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		d.rename(naming{{dir, base, n}})
	}
	return &File{f: f, d: d, n: n, path: path}, nil
}

// Create makes an empty file, or empties one.
func Create(path string) (*File, error) {
	return OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// Open opens a file to read it.
func Open(path string) (*File, error) { return OpenFile(path, os.O_RDONLY, 0) }

// ReadFile reads a whole file.
func ReadFile(path string) ([]byte, error) {
	if d, abs := diskOf(path); d != nil {
		if err := d.before(OpRead, abs); err != nil {
			return nil, err
		}
	}
	return os.ReadFile(path)
}

// Mkdir makes a directory.
func Mkdir(path string, perm os.FileMode) error {
	d, path := diskOf(path)
	if d == nil {
		return os.Mkdir(path, perm)
	}
	return d.change(OpMkdir, path, func() error { return os.Mkdir(path, perm) }, func() naming {
		dir, base, _ := d.find(path)
		return naming{{dir, base, newDir()}}
	})
}

// MkdirAll makes a directory and those above it.
func MkdirAll(path string, perm os.FileMode) error {
	d, path := diskOf(path)
	if d == nil {
		return os.MkdirAll(path, perm)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := MkdirAll(filepath.Dir(path), perm); err != nil {
		return err
	}
	return Mkdir(path, perm)
}

// Rename moves a file or directory.
func Rename(from, to string) error {
	d, from := diskOf(from)
	other, to := diskOf(to)
	if d == nil && other == nil {
		return os.Rename(from, to)
	}
	if d != other {
		return errors.New("rename from one disk to another")
	}
	return d.change(OpRename, to, func() error { return os.Rename(from, to) }, func() naming {
		dir, base, n := d.find(from)
		toDir, toBase, _ := d.find(to)
		return naming{{dir, base, nil}, {toDir, toBase, n}}
	})
}

// Link gives a file a second name.
func Link(from, to string) error {
	d, from := diskOf(from)
	other, to := diskOf(to)
	if d == nil || other == nil {
		return os.Link(from, to)
	}
	return d.change(OpLink, to, func() error { return os.Link(from, to) }, func() naming {
		_, _, n := d.find(from)
		dir, base, _ := d.find(to)
		return naming{{dir, base, n}}
	})
}

// Remove removes a file or an empty directory.
func Remove(path string) error {
	d, path := diskOf(path)
	if d == nil {
		return os.Remove(path)
	}
	return d.change(OpRemove, path, func() error { return os.Remove(path) }, func() naming {
		dir, base, _ := d.find(path)
		return naming{{dir, base, nil}}
	})
}

// RemoveAll removes a file, or a directory with all in it, one by one.
func RemoveAll(path string) error {
	d, path := diskOf(path)
	if d == nil {
		return os.RemoveAll(path)
	}
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && info.IsDir() {
		var entries []os.DirEntry
		entries, err = os.ReadDir(path)
		sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
		for _, e := range entries {
			err = errors.Join(err, RemoveAll(filepath.Join(path, e.Name())))
		}
	}
	if err != nil {
		return err
	}
	return Remove(path)
}

// SyncDir makes a directory's entries durable.
func SyncDir(path string) error {
	d, path := diskOf(path)
	if d == nil {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	}
	if err := d.before(OpSyncDir, path); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _, n := d.find(path)
	if n == nil || !n.dir {
		return &os.PathError{Op: string(OpSyncDir), Path: path, Err: os.ErrNotExist}
	}
	d.syncDir(n)
	return nil
}
