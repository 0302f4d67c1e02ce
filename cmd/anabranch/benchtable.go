package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"anabranch.dev/bench"
)

// benchTable prints a report for people.
func benchTable(w io.Writer, r *bench.Report) error {
	t := newTable("", "")
	t.AppendRows([]table.Row{
		{"what", r.What}, {"commit", r.Commit}, {"machine", fmt.Sprintf("%s, %d cores, Linux %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel)},
		{"shared with", r.SharedWith}, {"nodes", fmt.Sprintf("%d, durability %s", r.Nodes, r.Durability)},
		{"fdatasync", fmt.Sprintf("p50 %s, p99 %s", us(r.Fdatasync.P50), us(r.Fdatasync.P99))}, {"command", r.Command},
	})
	if r.Kafka != "" {
		t.AppendRow(table.Row{"Kafka", r.Kafka + ", " + r.Delivery})
	}
	loadRows(t, r)
	if f := r.Failover; f != nil {
		failoverRows(t, f)
	}
	if s := r.Restart; s != nil {
		t.AppendRow(table.Row{"state", fmt.Sprintf("%.2f GiB, %d orders", s.StateGiB, s.Orders)})
		t.AppendRow(table.Row{"ready", fmt.Sprintf("after an orderly stop %s, after kill -9 %s", us(s.Orderly), us(s.Killed))})
	}
	if m := r.Move; m != nil {
		moveRows(t, m)
	}
	t.AppendRows([]table.Row{
		{"CPU", fmt.Sprintf("%.1f s, of them the load at most %.1f s", r.CPUSeconds, r.GeneratorCPUSeconds)}, {"RSS", fmt.Sprintf("%.0f MiB", r.RSSMiB)},
		{"checks", fmt.Sprintf("oversold %d, lost %d, doubled %d, misplaced %d", r.Checks.Oversold, r.Checks.Lost, r.Checks.Doubled, r.Checks.Misplaced)},
	})
	return render(w, t)
}

// us prints microseconds in the unit that fits.
func us(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f s", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.2f ms", v/1e3)
	}
	return fmt.Sprintf("%.1f µs", v)
}

func loadRows(t table.Writer, r *bench.Report) {
	if r.AchievedPerSecond > 0 {
		t.AppendRow(table.Row{"load", fmt.Sprintf("offered %.0f/s, achieved %.0f/s, %d events, %d commit in the path", r.OfferedPerSecond, r.AchievedPerSecond, r.Events, r.CommitsInPath)})
	}
	if l := r.Latency; l != nil {
		t.AppendRow(table.Row{"latency", fmt.Sprintf("p50 %s, p90 %s, p99 %s, p99.9 %s, max %s", us(l.P50), us(l.P90), us(l.P99), us(l.P999), us(l.Max))})
	}
	if s := r.Stalls; s != nil {
		t.AppendRow(table.Row{"stalls", fmt.Sprintf("%d over 10 ms, %d over 100 ms, longest %s; %d leader changes", s.Over10ms, s.Over100ms, us(s.Longest), r.LeaderChanges)})
	}
	if b := r.Batch; b != nil {
		t.AppendRow(table.Row{"entries", fmt.Sprintf("%d, of %.1f events and %.0f bytes", b.Entries, b.EventsPerEntry, b.BytesPerEntry)})
	}
	if g := r.GC; g != nil {
		t.AppendRow(table.Row{"GC", fmt.Sprintf("GOGC %s, %d cycles, %.2f s, pauses p50 %s, max %s", r.GOGC, g.Cycles, g.CPUSeconds, us(g.PauseP50), us(g.PauseMax))})
	}
	if o := r.Outcomes; o != nil {
		t.AppendRow(table.Row{"outcomes", fmt.Sprintf("%d allocated (%.0f/s), %d backordered, %d failed", o.Allocated, o.HoldsPerSecond, o.Backordered, o.Failed)})
	}
}

func failoverRows(t table.Writer, f *bench.FailoverTimes) {
	list := func(gaps []float64) string {
		parts := make([]string, len(gaps))
		for i, g := range gaps {
			parts[i] = us(g)
		}
		return strings.Join(parts, ", ")
	}
	t.AppendRow(table.Row{f.How, fmt.Sprintf("%d times, %d elections", len(f.Visible.Gaps), f.Elections)})
	t.AppendRow(table.Row{"visible", fmt.Sprintf("median %s, max %s: %s", us(f.Visible.Median), us(f.Visible.Max), list(f.Visible.Gaps))})
	if r := f.Replicated; r != nil {
		t.AppendRow(table.Row{"replicated", fmt.Sprintf("median %s, max %s: %s", us(r.Median), us(r.Max), list(r.Gaps))})
	}
}

func moveRows(t table.Writer, m *bench.MoveTimes) {
	visible := func(l bench.Latency) string {
		return fmt.Sprintf("p50 %s, p99 %s, max %s", us(l.P50), us(l.P99), us(l.Max))
	}
	t.AppendRows([]table.Row{
		{"moves", fmt.Sprintf("%d between %d groups, %d called off; median %s, max %s", m.Moves, m.Groups, m.CalledOff, us(m.Took.Median), us(m.Took.Max))},
		{"visible before", visible(m.Visible.Before)}, {"visible during", visible(m.Visible.During)},
		{"longest pause", fmt.Sprintf("%s; of %d orders whose own shard was on the move %s", us(m.Longest.All), m.Longest.MovingOrders, us(m.Longest.Moving))},
	})
}
