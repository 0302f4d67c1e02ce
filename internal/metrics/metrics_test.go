package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHandler(t *testing.T) {
	r := New()
	g := r.Group(2)
	g.Decided(300 * time.Microsecond)
	g.Record("allocation.decided")
	g.DeadLetter("late")
	for _, v := range []float64{5, 7} {
		r.Watch("outbox", func(emit Emit) {
			emit("anabranch_outbox_depth_records", "Records not yet in Kafka.", Gauge, v, "group", "2")
		})
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body := w.Body.String()
	for _, want := range []string{
		`anabranch_group_decision_latency_seconds_count{group="2"} 1`,
		`anabranch_outbox_records_total{group="2",type="allocation.decided"} 1`,
		`anabranch_core_dead_letters_total{code="late",group="2"} 1`,
		`anabranch_outbox_depth_records{group="2"} 7`,
		`go_goroutines`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	if w.Code != 200 {
		t.Errorf("status %d; want 200", w.Code)
	}
}
