package calendar_test

import (
	"testing"
	"time"

	"anabranch.dev/operators/calendar"
	"anabranch.dev/state"
)

func TestDay(t *testing.T) {
	t.Setenv("ZONEINFO", t.TempDir()) // what the host has must not matter
	var zones calendar.Zones
	for _, test := range []struct{ zone, at, want string }{
		{"", "2026-06-01T23:59:59Z", "2026-06-01"},
		{"Asia/Shanghai", "2026-06-01T15:59:59Z", "2026-06-01"},
		{"Asia/Shanghai", "2026-06-01T16:00:00Z", "2026-06-02"},
		{"America/New_York", "2026-06-01T03:59:59Z", "2026-05-31"},
		{"Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29"}, // the night before summer time
		{"Europe/Berlin", "2026-03-29T21:59:59Z", "2026-03-29"}, // the shorter day
		{"Europe/Berlin", "2026-03-29T22:00:00Z", "2026-03-30"},
		{"Europe/Berlin", "2087-07-01T22:00:00Z", "2087-07-02"}, // by rule, beyond the table
		{"No/Such", "2026-06-01T23:00:00Z", "2026-06-01"},
		{"Europe", "2026-06-01T23:00:00Z", "2026-06-01"}, // a folder
		{"../Europe/Berlin", "2026-06-01T23:00:00Z", "2026-06-01"},
	} {
		at, err := time.Parse(time.RFC3339, test.at)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // read, and remembered
			if got := zones.Day(test.zone, state.TimeOf(at)); got != test.want {
				t.Errorf("Day(%q, %s) = %s; want %s", test.zone, test.at, got, test.want)
			}
		}
	}
}
