package assembly

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"anabranch.dev/connectors/wire"
)

// HeldDir is a data directory that is only looked at: nothing in it changes, and
// no process opens it meanwhile.
type HeldDir struct {
	Nodes []string // directories of the nodes in it
	// Fingerprint is that of the pseudonym key that is kept in it, "" if it is
	// kept elsewhere.
	Fingerprint string
	Faults      []string // of what belongs to all nodes

	lock *os.File
}

var nodeDir = regexp.MustCompile(`^(node|n[1-9][0-9]*)$`)

// HoldDataDir holds a process's directory, or that of a single node. [ErrInUse]:
// a process has it open. [ErrForeign]: it is neither.
func HoldDataDir(path string) (*HeldDir, error) {
	h := &HeldDir{}
	if err := h.open(path); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", path, err), h.Close())
	}
	return h, nil
}

// Close lets the directory go.
func (h *HeldDir) Close() error {
	if h.lock == nil {
		return nil
	}
	return h.lock.Close()
}

func (h *HeldDir) open(path string) error {
	if info, err := os.Stat(path); err != nil {
		return bare(err)
	} else if !info.IsDir() {
		return fmt.Errorf("%w: it is a file", ErrForeign)
	}
	if _, err := os.Stat(filepath.Join(path, markerName)); errors.Is(err, fs.ErrNotExist) {
		h.Nodes = []string{path} // a node's own, or not ours; whoever reads it will say
		return nil
	}
	if err := h.hold(filepath.Join(path, lockName)); err != nil {
		return err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return bare(err)
	}
	for _, e := range entries {
		if e.IsDir() && nodeDir.MatchString(e.Name()) {
			h.Nodes = append(h.Nodes, filepath.Join(path, e.Name()))
		}
	}
	h.readMarker(filepath.Join(path, markerName))
	switch key, err := wire.LoadKey(filepath.Join(path, keyName)); {
	case err == nil:
		h.Fingerprint = key.Fingerprint()
	case !errors.Is(err, fs.ErrNotExist):
		h.Faults = append(h.Faults, fmt.Sprintf("%s: %v", keyName, err))
	}
	if len(h.Nodes) == 0 {
		return fmt.Errorf("%w: there is no node in it", ErrForeign)
	}
	return nil
}

func (h *HeldDir) hold(path string) error {
	lock, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a process that has the directory has made it
	}
	if err != nil {
		return bare(err)
	}
	h.lock = lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%w; ask that one, by its HTTP address, or stop it", ErrInUse)
		}
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}

func (h *HeldDir) readMarker(path string) {
	var m marker
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	switch {
	case err != nil:
		h.Faults = append(h.Faults, fmt.Sprintf("%s: %v", markerName, err))
	case m.Format != markerFormat || m.Layout != thisLayout:
		h.Faults = append(h.Faults, fmt.Sprintf("%s: format %q, layout %d; want %q, %d", markerName, m.Format, m.Layout, markerFormat, thisLayout))
	case max(m.Nodes, 1) != len(h.Nodes):
		h.Faults = append(h.Faults, fmt.Sprintf("%s says %s, %d are there", markerName, nodes(max(m.Nodes, 1)), len(h.Nodes)))
	}
}
