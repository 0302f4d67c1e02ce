package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	manifestName = "manifest.json"
	formatName   = "anabranch snapshot"
	formatNumber = 1
	// partial is the end of a folder's name while it is written.
	partial = ".partial"
)

// ErrNoSnapshot: the folder is none of ours.
var ErrNoSnapshot = errors.New("no snapshot")

// ErrDamaged: the folder is not as it was written.
var ErrDamaged = errors.New("snapshot is damaged")

// Manifest says what is in a folder.
type Manifest struct {
	Format       string    `json:"format"`
	Version      int       `json:"version"`
	Taken        time.Time `json:"taken"` // wall time of whoever saved it
	Program      string    `json:"program"`
	Cluster      string    `json:"cluster"`
	Incarnation  uint64    `json:"incarnation"`
	Topology     string    `json:"topology"`
	FeatureLevel int       `json:"feature_level"`
	Shards       int       `json:"shards"`
	Clock        string    `json:"clock"`
	Lateness     string    `json:"lateness"`
	Fingerprint  string    `json:"fingerprint"` // of the pseudonym key
	Groups       []Group   `json:"groups"`
	Sum          string    `json:"sum"` // SHA-256 of the manifest with an empty sum
}

// Group is one group's state.
type Group struct {
	Group   int       `json:"group"`
	Index   uint64    `json:"index"`
	Term    uint64    `json:"term"`
	LogTime time.Time `json:"log_time"`
	Files   []File    `json:"files"` // in the order of names
}

// File is one file of a group's state.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Bytes is the size of all files.
func (m *Manifest) Bytes() (n int64) {
	for _, g := range m.Groups {
		for _, f := range g.Files {
			n += f.Size
		}
	}
	return n
}

// GroupDir is where a group's files are.
func GroupDir(dir string, group int) string {
	return filepath.Join(dir, fmt.Sprintf("group-%d", group))
}

// encode fills in the checksum and writes the manifest as text.
func (m Manifest) encode() ([]byte, error) {
	m.Sum = ""
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	m.Sum = hex.EncodeToString(sum[:])
	text, err = json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// readManifest reads a folder's manifest. There is one way to write it.
func readManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, manifestName)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: there is no %s", dir, ErrNoSnapshot, manifestName)
	}
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err = d.Decode(m)
	switch {
	case err == nil && m.Format != formatName:
		return nil, fmt.Errorf("%s: %w: it is no manifest of ours", path, ErrNoSnapshot)
	case m.Format == formatName && m.Version != formatNumber:
		return nil, fmt.Errorf("%s: format %d, this build knows %d", path, m.Version, formatNumber)
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	again, err := m.encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, text) {
		return nil, fmt.Errorf("%s: %w: its checksum does not match", path, ErrDamaged)
	}
	return m, m.plausible(path)
}

// plausible refuses what a folder can't hold, whatever its checksum says: names
// become paths.
func (m *Manifest) plausible(path string) error {
	for i, g := range m.Groups {
		if g.Group != i {
			return fmt.Errorf("%s: %w: group %d is listed as number %d", path, ErrDamaged, g.Group, i)
		}
		for _, f := range g.Files {
			if f.Name == "" || f.Name == "." || f.Name == ".." || strings.ContainsAny(f.Name, `/\`) {
				return fmt.Errorf("%s: %w: %q is no name of a file", path, ErrDamaged, f.Name)
			}
		}
		if !slices.IsSortedFunc(g.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) }) {
			return fmt.Errorf("%s: %w: files of group %d are not in order", path, ErrDamaged, i)
		}
	}
	return nil
}

// Target is the cluster that a snapshot is to become.
type Target struct {
	Cluster, Topology  string
	FeatureLevel       int
	Shards, Groups     int
	Clock, Fingerprint string
	Lateness           time.Duration
	Incarnation        uint64 // 0: the next one
}

// Fits refuses a target that the snapshot can't become, with everything in which
// it differs. It returns the new incarnation.
func (m *Manifest) Fits(t Target) (incarnation uint64, err error) {
	var differs []string
	check := func(what string, has, asked any) {
		if has != asked {
			differs = append(differs, fmt.Sprintf("%s is %v in the snapshot, not %v", what, has, asked))
		}
	}
	check("cluster.name", m.Cluster, t.Cluster)
	check("topology", m.Topology, t.Topology)
	check("cluster.shards", m.Shards, t.Shards)
	check("cluster.groups", len(m.Groups), t.Groups)
	check("cluster.clock", m.Clock, t.Clock)
	check("kafka.lateness", m.Lateness, t.Lateness.String())
	check("pseudonym key's fingerprint", m.Fingerprint, t.Fingerprint)
	if m.FeatureLevel > t.FeatureLevel {
		differs = append(differs, fmt.Sprintf("feature level is %d in the snapshot, this build knows %d", m.FeatureLevel, t.FeatureLevel))
	}
	if t.Incarnation != 0 && t.Incarnation <= m.Incarnation {
		differs = append(differs, fmt.Sprintf("incarnation is %d in the snapshot, the new one must be higher than that, not %d", m.Incarnation, t.Incarnation))
	}
	if len(differs) > 0 {
		return 0, fmt.Errorf("the snapshot does not fit: %s", strings.Join(differs, "; "))
	}
	return max(t.Incarnation, m.Incarnation+1), nil
}
