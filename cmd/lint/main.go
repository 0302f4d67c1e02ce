// Command lint checks the house rules that a compiler does not: who may import
// whom, where third-party libraries live, and what deterministic code must not
// do. It runs as a test too, so that `go test ./...` enforces it.
//
//	go run ./cmd/lint
package main

import (
	"fmt"
	"os"
)

func main() {
	faults, err := Check(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
		os.Exit(1)
	}
	for _, f := range faults {
		fmt.Println(f)
	}
	if len(faults) > 0 {
		os.Exit(3)
	}
}
