package group

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"anabranch.dev/connectors"
)

// A hold is known not to have lasted when the leader has changed, on both.
func TestHoldIsLostWithTheLeader(t *testing.T) {
	c := newTrio(t, nil)
	old := c.leader()
	if err := old.HoldLanes(t.Context(), "h", time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := old.ReleaseLanes(t.Context(), "h"); err != nil {
		t.Errorf("ReleaseLanes of a hold that lasted = %v", err)
	}
	if err := old.HoldLanes(t.Context(), "h2", time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := old.Group.Transfer(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another leader", func() bool { m := c.leading(); return m != nil && m != old })
	for _, m := range []*member{old, c.leader()} {
		if err := m.ReleaseLanes(t.Context(), "h2"); !errors.Is(err, ErrHoldLost) {
			t.Errorf("ReleaseLanes on %s = %v; want %v", m.replica(), err, ErrHoldLost)
		}
	}
}

// Copies are bounded, read by name only, and deleted when nobody reads them.
func TestCopies(t *testing.T) {
	cfg := config(t, t.TempDir(), &broker{})
	r := start(t, cfg)
	r.add("1", "a", 5)
	for _, id := range []string{"s1", "s2"} {
		if _, err := r.BeginCopy(id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.BeginCopy("s3"); !errors.Is(err, connectors.ErrOverloaded) {
		t.Errorf("BeginCopy of one too many = %v; want %v", err, connectors.ErrOverloaded)
	}
	c, err := r.Copied(t.Context(), "s1")
	if err != nil || len(c.Files) < 3 || c.Index == 0 {
		t.Fatalf("Copied = %+v, %v; want files", c, err)
	}
	var size int64
	for _, f := range c.Files {
		b, err := r.ReadCopy(t.Context(), "s1", f.Name, 0)
		if err != nil || int64(len(b)) != f.Size {
			t.Errorf("ReadCopy(%s) = %d bytes, %v; want %d", f.Name, len(b), err, f.Size)
		}
		size += f.Size
		if b, err := r.ReadCopy(t.Context(), "s1", f.Name, f.Size); err != nil || len(b) != 0 {
			t.Errorf("ReadCopy(%s) at its end = %d bytes, %v; want none", f.Name, len(b), err)
		}
	}
	if size == 0 {
		t.Error("the copy is empty")
	}
	for _, name := range []string{"", "..", "../s2/MANIFEST", "none"} {
		if _, err := r.ReadCopy(t.Context(), "s1", name, 0); !errors.Is(err, connectors.ErrNotFound) {
			t.Errorf("ReadCopy(%q) = %v; want %v", name, err, connectors.ErrNotFound)
		}
	}
	if err := r.DropCopy("s1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Copied(t.Context(), "s2"); err != nil {
		t.Fatal(err)
	}
	r.backups.mu.Lock()
	r.backups.byID["s2"].used = time.Now().Add(-backupKept - time.Second)
	r.backups.mu.Unlock()
	eventually(t, "an unused copy to be deleted", func() bool {
		_, err := os.Stat(filepath.Join(cfg.Dir, backupDir, "s2"))
		return errors.Is(err, os.ErrNotExist)
	})
	if _, err := r.BeginCopy("s4"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Copied(t.Context(), "s4"); err != nil {
		t.Fatal(err)
	}
	r.mustEnd()
	g, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, backupDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a copy is left over a restart: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
}
