package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/state"
)

// Saving says where a snapshot goes. Dir and From are required.
type Saving struct {
	Dir  string // the folder; it must not exist
	From connectors.Snapshots
	// Now is the wall time that the manifest tells. Default time.Now.
	Now func() time.Time
	// Progress is told how much has been written, of how much. May be nil.
	Progress func(done, total int64)
}

// Save takes a snapshot and writes its folder.
func (s Saving) Save(ctx context.Context) (m *Manifest, err error) {
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Progress == nil {
		s.Progress = func(int64, int64) {}
	}
	if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("%s is there already: name a new folder", s.Dir), err)
	}
	taken := s.Now()
	cut, err := s.From.TakeSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.From.DropSnapshot(context.WithoutCancel(ctx), cut.ID)) }()
	if cut, err = s.From.DescribeSnapshot(ctx, cut.ID); err != nil {
		return nil, err
	}
	m = manifestOf(&cut, taken)
	if err := s.write(ctx, &cut, m); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.Dir+partial))
	}
	return m, nil
}

func manifestOf(c *connectors.Snapshot, taken time.Time) *Manifest {
	m := &Manifest{Format: formatName, Version: formatNumber, Taken: taken.UTC().Truncate(time.Second), Program: c.Version,
		Cluster: c.Cluster, Incarnation: c.Incarnation, Topology: c.Topology, FeatureLevel: c.FeatureLevel, Shards: c.Shards,
		Clock: c.Clock, Lateness: c.Lateness.String(), Fingerprint: c.Fingerprint}
	for _, p := range c.Parts {
		m.Groups = append(m.Groups, Group{Group: p.Group, Index: p.Index, Term: p.Term, LogTime: timeOf(p.LogTime)})
	}
	return m
}

func timeOf(t state.Time) time.Time { return time.UnixMicro(int64(t)).UTC() }

// write writes everything under a partial name, and then under its own.
func (s *Saving) write(ctx context.Context, c *connectors.Snapshot, m *Manifest) error {
	dir := s.Dir + partial
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	var total, done int64
	for _, p := range c.Parts {
		for _, f := range p.Files {
			total += f.Size
		}
	}
	for i, p := range c.Parts {
		groupDir := GroupDir(dir, p.Group)
		if err := os.MkdirAll(groupDir, 0o755); err != nil {
			return err
		}
		for _, f := range p.Files {
			sum, err := s.fetch(ctx, c.ID, &p, f, groupDir, func(n int) { done += int64(n); s.Progress(done, total) })
			if err != nil {
				return fmt.Errorf("group %d: %s: %w", p.Group, f.Name, err)
			}
			m.Groups[i].Files = append(m.Groups[i].Files, File{Name: f.Name, Size: f.Size, SHA256: sum})
		}
		if err := raftlog.SyncDir(groupDir); err != nil {
			return err
		}
	}
	text, err := m.encode()
	if err != nil {
		return err
	}
	if err := errors.Join(writeFile(filepath.Join(dir, manifestName), text), raftlog.SyncDir(dir)); err != nil {
		return err
	}
	return errors.Join(os.Rename(dir, s.Dir), raftlog.SyncDir(filepath.Dir(filepath.Clean(s.Dir))))
}

// fetch writes one file, and returns its checksum.
func (s *Saving) fetch(ctx context.Context, id string, p *connectors.SnapshotPart, f connectors.SnapshotFile, dir string, more func(n int)) (sum string, err error) {
	file, err := os.Create(filepath.Join(dir, f.Name))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	h := sha256.New()
	for at := int64(0); at < f.Size; {
		b, err := s.From.ReadSnapshot(ctx, id, p.Group, f.Name, at)
		if err != nil {
			return "", err
		}
		if len(b) == 0 || at+int64(len(b)) > f.Size {
			return "", fmt.Errorf("%d bytes came behind %d of %d", len(b), at, f.Size)
		}
		h.Write(b) // never fails
		if _, err := file.Write(b); err != nil {
			return "", err
		}
		at += int64(len(b))
		more(len(b))
	}
	return hex.EncodeToString(h.Sum(nil)), file.Sync()
}

func writeFile(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
