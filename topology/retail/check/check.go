// Package check holds the invariants of the retail topology: what must be true
// of its state and of what it has said, whatever happened before.
//
// The simulator, `anabranch verify` and the benchmarks run the same checks. They
// are plain functions over read-only views and over records; they return what is
// violated as data and never repair anything. No order of calls is assumed, and
// nothing is remembered between them, except in an [Output], which reads a
// stream.
//
// Start at [State] (of stages), [Output] (of decisions) and [Inputs] (of
// counters).
package check

import (
	"fmt"

	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// Codes of violations.
const (
	CodeLedger      = "ledger"      // accounts don't sum to zero, or differ from the shelves
	CodeOversell    = "oversell"    // more reserved than on hand, with no shortfall open
	CodeMarks       = "marks"       // what is marked as reserved differs from the claims
	CodeAccounting  = "accounting"  // units of an order line got lost or doubled
	CodeReservation = "reservation" // order and SKU differ about what is reserved
	CodeUndecided   = "undecided"   // an order is not decided although nothing is under way
	CodeOver        = "over"        // more allocated than was asked for
	CodeNumber      = "number"      // a key's numbers have a gap or go back
	CodeDoubled     = "doubled"     // a decision came twice
	CodeAttempt     = "attempt"     // an order's attempts have a gap or are repeated
	CodeShape       = "shape"       // a decision contradicts itself
	CodeRelease     = "release"     // released what was not allocated
	CodeInputs      = "inputs"      // events are not applied + duplicates + dead letters
	CodeTotals      = "totals"      // totals differ from the documents
	CodeUnmet       = "unmet"       // unmet demand differs from who asked
	CodePolicy      = "policy"      // an order's next attempt went back to an earlier policy
	CodeUnreadable  = "unreadable"  // a record's payload is not what its type says
)

// Violation is one broken invariant.
type Violation struct {
	Code string
	Key  string // of the SKU, order or partition
	Text string
}

// String is the violation in one line.
func (v Violation) String() string { return v.Code + " " + v.Key + ": " + v.Text }

// Violations collects what is broken, at most [MaxViolations]: one cause often
// breaks the same thing at thousands of keys.
type Violations []Violation

// MaxViolations is how many violations are kept.
const MaxViolations = 1_000

func (vs *Violations) addf(code, key, format string, args ...any) {
	if len(*vs) < MaxViolations {
		*vs = append(*vs, Violation{Code: code, Key: key, Text: fmt.Sprintf(format, args...)})
	}
}

// View is the state of some shards at one index. Several views together make up
// a cluster.
type View struct {
	Reader state.Reader
	Shards []state.Shard
}

// stage reads one stage over all views.
type stage struct {
	plan  *topology.Stage
	views []View
}

func (s *stage) table(name string) *state.Table {
	for _, t := range s.plan.Decl.Tables {
		if t.Name == name {
			return t
		}
	}
	panic("check: stage " + s.plan.Name + " has no table " + name)
}

// keys visits every key of the stage.
func (s *stage) keys(fn func(c *cell) error) error {
	for _, v := range s.views {
		for _, shard := range v.Shards {
			var keys []string
			err := v.Reader.Cells(shard, s.plan.ID, "", func(key string) bool {
				keys = append(keys, key)
				return true
			})
			if err != nil {
				return fmt.Errorf("shard %d: list keys of %s: %w", shard, s.plan.Name, err)
			}
			for _, key := range keys {
				c := &cell{stage: s, reader: v.Reader, id: state.CellID{Shard: shard, Stage: s.plan.ID, Key: key}}
				if err := fn(c); err != nil {
					return fmt.Errorf("%s/%s: %w", s.plan.Name, key, err)
				}
			}
		}
	}
	return nil
}

// cell is one key of a stage.
type cell struct {
	stage  *stage
	reader state.Reader
	id     state.CellID
}

// each visits the rows of a table.
func each[R any](c *cell, table string, fn func(row string, value *R)) error {
	err := c.reader.Scan(c.id, c.stage.table(table), "", "", func(row string, v state.Visitable) bool {
		fn(row, any(v).(*R))
		return true
	})
	if err != nil {
		return fmt.Errorf("table %s: %w", table, err)
	}
	return nil
}
