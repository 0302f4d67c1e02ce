// Command visitgen writes the Visit methods of row and event types.
//
// It reads the Go files of one package folder and, for every struct that has a
// field tagged `v:"name"`, generates a Visit method listing the tagged fields
// in their order. The tag `since:"2"` leaves a field out below feature level 2.
// The output is visit_gen.go in that folder; with -check nothing is written and
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
			fmt.Fprintf(os.Stderr, "visitgen: %s is stale: run go generate ./...\n", filepath.Join(dir, output))
			stale = true
		}
	}
	if stale {
		os.Exit(3)
	}
}

// output is the name of the generated file in each folder.
const output = "visit_gen.go"

// run generates one folder's file and reports whether it was up to date.
func run(dir string, check bool) (bool, error) {
	src, err := Generate(dir)
	if err != nil {
		return false, fmt.Errorf("%s: %w", dir, err)
	}
	path := filepath.Join(dir, output)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if bytes.Equal(old, src) {
		return true, nil
	}
	if check {
		return false, nil
	}
	return false, os.WriteFile(path, src, 0o644)
}
