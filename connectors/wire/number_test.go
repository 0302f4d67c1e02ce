package wire

import (
	"testing"

	"anabranch.dev/state"
)

func TestParseDecimal(t *testing.T) {
	for _, c := range []struct {
		text  string
		round bool
		want  state.Decimal
		ok    bool
	}{
		{"2.55", false, 2_550_000, true}, {"-0.000001", false, -1, true}, {"7", false, 7_000_000, true},
		{"007", false, 7_000_000, true}, {"1.2500000000", false, 1_250_000, true}, {"-0", false, 0, true},
		{"1000000000000", false, 1_000_000_000_000_000_000, true}, {"1000000000001", false, 0, false},
		{"1.0000001", false, 0, false}, {"1.0000005", true, 1_000_001, true}, {"-1.00000049", true, -1_000_000, true},
		{"0.9999996", true, 1_000_000, true}, {"51.50735091", true, 51_507_351, true},
		{"", false, 0, false}, {"-", false, 0, false}, {".5", false, 0, false}, {"5.", false, 0, false}, {"+5", false, 0, false},
		{"1e3", false, 0, false}, {"1.0.0", true, 0, false}, {"1.0000005x", true, 0, false}, {"NaN", false, 0, false}, {"٣", false, 0, false},
	} {
		if got, ok := parseDecimal([]byte(c.text), c.round); got != c.want && ok || ok != c.ok {
			t.Errorf("parseDecimal(%q, %v) = %d, %v; want %d, %v", c.text, c.round, got, ok, c.want, c.ok)
		}
	}
}

func TestParseInteger(t *testing.T) {
	for _, c := range []struct {
		text     string
		want     int64
		ok, over bool
	}{
		{"0", 0, true, false}, {"-0", 0, true, false}, {"-12", -12, true, false}, {"0000000000000000000000012", 12, true, false},
		{"999999999999999999", 999999999999999999, true, false}, {"99999999999999999999", 0, false, true},
		{"", 0, false, false}, {"-", 0, false, false}, {"1.0", 0, false, false}, {"1e3", 0, false, false}, {"+1", 0, false, false},
	} {
		if got, ok, over := parseInteger([]byte(c.text)); got != c.want && ok || ok != c.ok || over != c.over {
			t.Errorf("parseInteger(%q) = %d, %v, %v; want %d, %v, %v", c.text, got, ok, over, c.want, c.ok, c.over)
		}
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]state.Time{
		"1970-01-01T00:00:00.000001Z": 1, "2026-11-21T09:00:00Z": 1795251600_000000, "2026-11-21T17:00:00.5+08:00": 1795251600_500000,
		"2026-11-21T09:00:00.1234567Z": 1795251600_123456, "9999-12-31T23:59:59Z": 253402300799_000000,
	} {
		if got, ok := parseTime([]byte(text)); !ok || got != want {
			t.Errorf("parseTime(%q) = %d, %v; want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00", "2026-11-21", "2026-11-21 09:00:00Z",
		"2026-11-21T09:00:00", "2026-11-21T9:00:00Z", "2026-11-21T09:00:00,5Z", "2026-11-21T24:00:00Z", "2026-02-30T00:00:00Z", "1795251600"} {
		if got, ok := parseTime([]byte(text)); ok || got != 0 {
			t.Errorf("parseTime(%q) = %d, %v; want none", text, got, ok)
		}
	}
}
