package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage
	exitFound  = 3 // a check found something
)

// usageError marks an error as wrong usage.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// foundError marks what a check found. Its findings are printed already.
type foundError struct{ summary string }

func (e *foundError) Error() string { return e.summary }

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	var usage *usageError
	var found *foundError
	// The process ends: a failing write to stderr can be told to nobody.
	switch {
	case errors.As(err, &found):
		_, _ = fmt.Fprintln(stderr, "anabranch:", found)
		return exitFound
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(stderr, "anabranch: %v\nsee '%s --help'\n", usage, cmd.CommandPath())
		return exitUsage
	}
	_, _ = fmt.Fprintln(stderr, "anabranch:", err)
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "anabranch",
		Short: "Live stock and order allocation between Kafka topics, replicated and exactly once",
		Long: `Anabranch consumes retail events from Kafka, keeps live stock in replicated
memory and emits order-allocation decisions to Kafka, exactly once, explained.

Every flag can be set in the environment too: --addr as ANABRANCH_ADDR,
--no-sample as ANABRANCH_NO_SAMPLE (only --data is ANABRANCH_DATA_DIR). A flag on
the command line wins.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a check found something.`,
		Example: `  anabranch dev                 # a whole system in one process, with a sample shop
  anabranch get stock glasses-7 # what is where, in another terminal`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags(), os.LookupEnv) },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(newDev(), newKafka(), newReplay(), newGet(), newOrder(), newTopology(), newPolicy(),
		newDeadLetters(), newCluster(), newSnapshot(), newServe(), newKey(), newVerify(), newBench(), newSim(), newVersion())
	strict(root)
	return root
}

// strict makes every command refuse what it does not take, as wrong usage.
func strict(cmd *cobra.Command) {
	if !cmd.Runnable() {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			cmd.SuggestionsMinimumDistance = 2
			text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				text += "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return usagef("%s", text)
		}
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	} else if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{err}
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		strict(child)
	}
}

// environment is the name under which a flag is set in the environment.
// --data is ANABRANCH_DATA_DIR: ANABRANCH_DATA names the data sets of the tests.
func environment(flag string) string {
	if flag == "data" {
		return "ANABRANCH_DATA_DIR"
	}
	return "ANABRANCH_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets every flag that the command line does not.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var faults []error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" {
			return
		}
		value, ok := lookup(environment(f.Name))
		if !ok {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			faults = append(faults, fmt.Errorf("%s=%s: %w", environment(f.Name), value, err))
		}
	})
	if len(faults) > 0 {
		return &usageError{errors.Join(faults...)}
	}
	return nil
}
