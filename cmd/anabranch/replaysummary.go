package main

import (
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"anabranch.dev/bench/replay"
	"anabranch.dev/state"
)

// replaySummary is what became of the events.
type replaySummary struct {
	Dataset     string  `json:"dataset"`
	Rows        int     `json:"rows"`
	Amount      string  `json:"amount"`
	Loaded      int     `json:"loaded"`
	Events      int64   `json:"events"`
	Applied     int64   `json:"applied"`
	Duplicates  int64   `json:"duplicates"`
	DeadLetters int64   `json:"dead_letters"`
	Seconds     float64 `json:"seconds"`
}

func (r *replayRun) summary(w io.Writer, script *replay.Script, before, after *clusterStatus, took time.Duration) error {
	s := replaySummary{Dataset: script.Name, Rows: script.Totals.Rows, Loaded: len(script.Events), Seconds: took.Seconds()}
	s.Amount = state.Decimal(script.Totals.Amount).String()
	count := func(c *clusterStatus, sign int64) {
		for _, i := range c.Inputs {
			s.Events += sign * i.Events
			s.Applied += sign * i.Applied
			s.Duplicates += sign * i.Duplicates
			s.DeadLetters += sign * i.DeadLetters
		}
	}
	count(after, 1)
	count(before, -1)
	return r.flags.out.showValue(w, s, func(w io.Writer) error {
		t := newTable("DATA SET", "ROWS", "AMOUNT", "LOADED", "EVENTS", "APPLIED", "DUPLICATES", "DEAD LETTERS", "SECONDS")
		numbers(t, "ROWS", "AMOUNT", "LOADED", "EVENTS", "APPLIED", "DUPLICATES", "DEAD LETTERS", "SECONDS")
		t.AppendRow(table.Row{s.Dataset, s.Rows, s.Amount, s.Loaded, s.Events, s.Applied, s.Duplicates, s.DeadLetters, fmt.Sprintf("%.1f", s.Seconds)})
		return render(w, t)
	})
}
