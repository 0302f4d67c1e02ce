package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Names in a data directory. metaFile is kfake's.
const (
	lockFile = "anabranch.lock"
	metaFile = "meta.json"
)

// Errors of Start.
var (
	// ErrLocked: another process has the data directory.
	ErrLocked = errors.New("in use by another process")
	// ErrForeign: the directory holds something else.
	ErrForeign = errors.New("is not a broker's data directory")
)

// A directory is a data directory that is ours until unlock.
type directory struct {
	path string
	lock *os.File
}

// openDirectory creates, locks, checks and, after a crash, recovers it.
func openDirectory(path string) (*directory, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err // it names the path
	}
	if err := refuseForeign(path); err != nil {
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	f, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	d := &directory{path: path, lock: f}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", path, err), f.Close())
	}
	if err := recoverDirectory(path); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", path, err), d.unlock())
	}
	return d, nil
}

// unlock lets the directory go. The lock is the open file's, not the file.
func (d *directory) unlock() error {
	if d == nil {
		return nil
	}
	return d.lock.Close()
}

// refuseForeign accepts an empty directory and one that a broker has written.
func refuseForeign(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(path, metaFile))
	if err == nil {
		var meta struct {
			Version int    `json:"version"`
			Cluster string `json:"cluster_id"`
		}
		if err := json.Unmarshal(raw, &meta); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrForeign, metaFile, err)
		}
		if meta.Version == 0 || meta.Cluster == "" {
			return fmt.Errorf("%w: %s names no version or cluster", ErrForeign, metaFile)
		}
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		// Died before the first start was done: meta.json comes first of all.
		if e.Name() != lockFile && !strings.HasPrefix(e.Name(), metaFile) {
			return fmt.Errorf("%w: it holds %s but no %s", ErrForeign, e.Name(), metaFile)
		}
	}
	return nil
}
