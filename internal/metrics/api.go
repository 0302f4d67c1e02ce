package metrics

import (
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Requests measures the requests below /v1 that next answers, by method and
// code. The live feed is left out: it lasts as long as its reader wants.
func (r *Registry) Requests(next http.Handler) http.Handler {
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "anabranch_api_request_seconds", Help: "From a request's arrival to its answer's end.",
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	}, []string{"method", "code"})
	r.reg.MustRegister(took)
	measured := promhttp.InstrumentHandlerDuration(took, next)
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !strings.HasPrefix(q.URL.Path, "/v1/") || q.URL.Path == "/v1/live" {
			next.ServeHTTP(w, q)
			return
		}
		measured.ServeHTTP(w, q)
	})
}
