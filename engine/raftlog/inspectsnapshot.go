package raftlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// InspectedSnapshot is a snapshot whose description is good.
type InspectedSnapshot struct {
	ID          string
	Index, Term uint64
	State       string   // directory of the checkpoint
	Replicas    []string // of the group as of the snapshot
	Whole       bool     // all its files are there, as they were written
}

// InspectSnapshots reads the descriptions of the snapshots in a directory, and
// compares their files with them: lengths of all, checksums of those that don't
// carry their own. It writes nothing. fault is told where something is wrong,
// and what.
func InspectSnapshots(dir string, fault func(place string, err error)) []InspectedSnapshot {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) { // a new group has none
			fault("snapshots", err)
		}
		return nil
	}
	var list []InspectedSnapshot
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), unfinished) {
			continue // left by a crash, and deleted by the next start
		}
		place, path := "snapshots/"+e.Name(), filepath.Join(dir, e.Name())
		m, err := readDescription(path)
		if err != nil {
			fault(place+"/"+snapshotMeta, unreadable(err))
			continue
		}
		s := InspectedSnapshot{ID: m.Meta.ID, Index: m.Meta.Index, Term: m.Meta.Term, State: filepath.Join(path, snapshotState), Whole: true}
		for _, server := range m.Meta.Configuration.Servers {
			s.Replicas = append(s.Replicas, string(server.ID))
		}
		if m.Meta.ID != e.Name() {
			fault(place, fmt.Errorf("%w: it is snapshot %s", ErrCorrupt, m.Meta.ID))
		}
		compareFiles(s.State, m.Files, func(name string, err error) {
			s.Whole = false
			fault(place+"/"+snapshotState+"/"+name, err)
		})
		list = append(list, s)
	}
	return list
}

// compareFiles names every file that is not as it was described.
func compareFiles(dir string, want []snapshotFile, fault func(name string, err error)) {
	files, err := listFiles(dir)
	if err != nil {
		fault("", err)
		return
	}
	there := map[string]snapshotFile{}
	for _, f := range files {
		there[f.Name] = f
	}
	for _, w := range want {
		switch f, ok := there[w.Name]; {
		case !ok:
			fault(w.Name, fmt.Errorf("%w: it is missing", ErrCorrupt))
		case f.Size != w.Size:
			fault(w.Name, fmt.Errorf("%w: it has %d bytes, not %d", ErrCorrupt, f.Size, w.Size))
		case f.Sum != w.Sum:
			fault(w.Name, fmt.Errorf("%w: its checksum does not match", ErrCorrupt))
		}
		delete(there, w.Name)
	}
	for _, f := range files {
		if _, extra := there[f.Name]; extra {
			fault(f.Name, fmt.Errorf("%w: it does not belong to the snapshot", ErrCorrupt))
		}
	}
}
