// Command anabranch runs, asks and examines Anabranch clusters.
//
// It only wires: every subcommand turns flags into calls of the packages that
// do the work. One file per group of commands; start at root.go. What dev and
// the others need to put a node together is in internal/assembly.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
