package bench

import (
	"bytes"
	"testing"
	"time"
)

func TestKafkaSeesEveryDecision(t *testing.T) {
	cfg := KafkaConfig{Config: small(1)}
	cfg.Rate, cfg.tamper = 200, wrong
	r, err := Kafka(t.Context(), cfg, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Checks.Lost != 1 || r.Checks.Doubled != 1 || r.Checks.Oversold != 0 {
		t.Errorf("checks = %+v; want the one lost and the one doubled found", r.Checks)
	}
	if r.Events != 200 || r.Latency.P50 <= 0 || r.Kafka != "embedded" || r.Delivery != "exactly_once" {
		t.Errorf("report = %+v; want 200 decisions seen", r)
	}
}

func TestScannerFindsGapsInNumbers(t *testing.T) {
	s := newScanner(5, func(n int) uint64 { return uint64(1 + n/4) }, func(int) int { return 1 })
	for _, d := range []struct{ key, value string }{
		{"o0", `{"number":1}`}, {"o0", `{"number":2}`}, // good
		{"o1", `{"number":2}`}, // 1 is missing
		{"o2", `{"number":1}`}, {"o2", `{"number":1}`},
		{"o3", `{"number":2}`}, {"o3", `{"number":1}`}, // the wrong way round
		{"o4", `{"number":1}`}, // 2 is missing
	} {
		s.add(&seenDecision{key: d.key, value: []byte(d.value)})
	}
	c, err := s.finish()
	if err != nil || c.Lost != 2 || c.Doubled != 1 || c.Misplaced != 1 {
		t.Errorf("checks = %+v, %v; want two lost, one doubled, one misplaced", c, err)
	}
	s.add(&seenDecision{key: "elsewhere", value: []byte(`{"number":1}`)})
	if _, err := s.finish(); err == nil {
		t.Error("a decision that nobody asked for was not found")
	}
}

func TestGapMeter(t *testing.T) {
	var g gapMeter
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	g.note(0, at(0))
	g.note(1, at(50))
	g.note(1, at(400)) // seen before: not new
	if d := g.longest(at(100)); d != 50*time.Millisecond {
		t.Errorf("longest = %v; want 50ms", d)
	}
	g.reset()
	g.note(2, at(80))
	if d := g.longest(at(200)); d != 120*time.Millisecond || g.count() != 3 {
		t.Errorf("longest = %v of %d; want the one that lasts, 120ms, of 3", d, g.count())
	}
}
