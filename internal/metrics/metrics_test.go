package metrics

import (
	"net/http"
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
	g.Outcome("allocation.decided", "allocated")
	g.Outcome("stock.level", "")
	for _, v := range []float64{5, 7} {
		r.Watch("outbox", func(emit Emit) {
			emit("anabranch_outbox_depth_records", "Records not yet in Kafka.", Gauge, v, "group", "2")
		})
	}
	api := r.Requests(http.NotFoundHandler())
	for _, path := range []string{"/v1/stock/x", "/v1/live", "/metrics"} {
		api.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body := w.Body.String()
	for _, want := range []string{
		`anabranch_group_decision_latency_seconds_count{group="2"} 1`,
		`anabranch_outbox_records_total{group="2",type="allocation.decided"} 1`,
		`anabranch_core_dead_letters_total{code="late",group="2"} 1`,
		`anabranch_outbox_depth_records{group="2"} 7`,
		`anabranch_outbox_outcomes_total{group="2",outcome="allocated",type="allocation.decided"} 1`,
		`anabranch_api_request_seconds_count{code="404",method="get"} 1`,
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
