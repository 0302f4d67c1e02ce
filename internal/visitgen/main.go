// Command visitgen writes the Visit methods of row and event types.
//
// It reads the Go files of one package folder and, for every struct that has a
// field tagged `v:"name"`, generates a Visit method listing the tagged fields
// in their order. The tag `since:"2"` leaves a field out below feature level 2.
// The output is visit_gen.go in that folder; what stands in files with a build
// constraint gets a file of its own with the same one, as visit_not_level2_gen.go. With -check nothing is written and
// the exit status is 3 when the file is stale.
//
//	go run anabranch.dev/internal/visitgen [-check] DIR…
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "exit 3 if a generated file is stale, write nothing")
	flag.Parse()
	stale := false
	for _, dir := range flag.Args() {
		same, err := run(dir, *check)
		if err != nil {
			fmt.Fprintln(os.Stderr, "visitgen:", err)
			os.Exit(1)
		}
		if !same && *check {
			fmt.Fprintf(os.Stderr, "visitgen: %s is stale: run go generate ./...\n", dir)
			stale = true
		}
	}
	if stale {
		os.Exit(3)
	}
}

// run generates one folder's files and reports whether they were up to date.
func run(dir string, check bool) (same bool, err error) {
	files, err := Generate(dir)
	if err != nil {
		return false, fmt.Errorf("%s: %w", dir, err)
	}
	same = true
	for name, src := range files {
		path := filepath.Join(dir, name)
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		if bytes.Equal(old, src) {
			continue
		}
		same = false
		if check {
			continue
		}
		if err := os.WriteFile(path, src, 0o644); err != nil {
			return false, err
		}
	}
	return same, nil
}
