package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Open reads a folder and everything in it, and returns its manifest if all is as
// it was written. Else everything that is not is named.
func Open(dir string) (*Manifest, error) {
	m, err := Describe(dir)
	if err != nil {
		return nil, err
	}
	return m, Check(dir, m)
}

// Describe reads a folder's manifest.
func Describe(dir string) (*Manifest, error) { return readManifest(dir) }

// Check reads all files of a folder and compares them with its manifest.
func Check(dir string, m *Manifest) error {
	var faults []error
	fault := func(path, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: %w: %s", path, ErrDamaged, fmt.Sprintf(format, args...)))
	}
	known := map[string]bool{manifestName: true}
	for _, g := range m.Groups {
		groupDir := GroupDir(dir, g.Group)
		known[filepath.Base(groupDir)] = true
		listed := map[string]bool{}
		for _, f := range g.Files {
			listed[f.Name] = true
			checkFile(filepath.Join(groupDir, f.Name), f, fault)
		}
		refuseUnlisted(groupDir, listed, fault)
	}
	refuseUnlisted(dir, known, fault)
	return errors.Join(faults...)
}

func checkFile(path string, f File, fault func(path, format string, args ...any)) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		fault(path, "it is missing")
		return
	}
	if err != nil {
		fault(path, "%v", err)
		return
	}
	defer file.Close() // only read
	sum := sha256.New()
	switch n, err := io.Copy(sum, file); {
	case err != nil:
		fault(path, "%v", err)
	case n != f.Size:
		fault(path, "it has %d bytes, not %d", n, f.Size)
	case hex.EncodeToString(sum.Sum(nil)) != f.SHA256:
		fault(path, "its checksum does not match")
	}
}

// refuseUnlisted names what lies in a directory and does not belong there.
func refuseUnlisted(dir string, listed map[string]bool, fault func(path, format string, args ...any)) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) { // its files are missing, which is said
			fault(dir, "%v", err)
		}
		return
	}
	for _, e := range entries {
		if !listed[e.Name()] {
			fault(filepath.Join(dir, e.Name()), "it does not belong to the snapshot")
		}
	}
}
