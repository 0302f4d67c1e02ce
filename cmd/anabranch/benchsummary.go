package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"anabranch.dev/bench"
)

func newBenchSummary() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "summary FILE…",
		Short:   "Show the reports of several runs, and their medians",
		Example: "  anabranch bench summary bench/results/decide-1node-disk-5k.1.json bench/results/decide-1node-disk-5k.2.json",
		Args:    cobra.MinimumNArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		t := newTable("RUN", "P50", "P90", "P99", "P99.9", "MAX", "ACHIEVED/S", "CPU S", "FDATASYNC P50", "CHECKS")
		columns := make([][]float64, 8)
		for _, path := range paths {
			r, err := readReport(path)
			if err != nil {
				return err
			}
			l := r.Latency
			if l == nil {
				return fmt.Errorf("%s: a report of %s has no latency", path, r.What)
			}
			values := []float64{l.P50, l.P90, l.P99, l.P999, l.Max, r.AchievedPerSecond, r.CPUSeconds, r.Fdatasync.P50}
			for i, v := range values {
				columns[i] = append(columns[i], v)
			}
			checks := "good"
			if r.Checks.Failed() {
				checks = "FAILED"
			}
			t.AppendRow(append(append(table.Row{path}, summaryCells(values)...), checks))
		}
		medians := make([]float64, len(columns))
		for i, c := range columns {
			medians[i] = median(c)
		}
		t.AppendRow(append(table.Row{"median"}, summaryCells(medians)...))
		return render(cmd.OutOrStdout(), t)
	}
	return cmd
}

// summaryCells formats a run's numbers in the order of the columns.
func summaryCells(v []float64) []any {
	return []any{us(v[0]), us(v[1]), us(v[2]), us(v[3]), us(v[4]), fmt.Sprintf("%.0f", v[5]), fmt.Sprintf("%.1f", v[6]), us(v[7])}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func readReport(path string) (*bench.Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r bench.Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: not a report: %w", path, err)
	}
	return &r, nil
}
