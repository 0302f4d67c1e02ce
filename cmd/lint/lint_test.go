package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHouseRules(t *testing.T) {
	faults, err := Check("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// TestCheckFinds makes sure that the rules can fail.
func TestCheckFinds(t *testing.T) {
	dir := t.TempDir()
	write := func(file, src string) {
		t.Helper()
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module anabranch.dev\n\ngo 1.26\n")
	write("engine/core/core.go", `package core

import (
	"os"
	"time"

	"anabranch.dev/connectors"
)

func F(m map[string]int) (n int64) {
	go os.Exit(1)
	for range m {
		n++
	}
	return n + time.Now().Unix() + connectors.X
}
`)
	write("connectors/connectors.go", "package connectors\n\nconst X = 1\n")
	write("connectors/x_test.go", "package connectors\n\n// time."+"Sleep(1)\n")
	faults, err := Check(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(faults, "\n")
	for _, want := range []string{"imports connectors, which its layer", "imports os", "starts a goroutine", "ranges over a map", "reads time.Now", "sleeps"} {
		if !strings.Contains(all, want) {
			t.Errorf("Check did not find %q in:\n%s", want, all)
		}
	}
}
