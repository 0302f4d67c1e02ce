package metrics

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Registry holds the metrics of one node.
type Registry struct {
	reg    *prometheus.Registry
	groups groupVectors

	mu       sync.Mutex // guards watchers
	watchers map[string]func(emit Emit)
}

// Emit reports one value at a scrape. Labels are names and values in turn.
type Emit func(name, help string, kind Kind, value float64, labels ...string)

// Kind of a value.
type Kind int

const (
	Gauge   Kind = iota // may go up and down
	Counter             // only goes up
)

// New makes a registry with the process's own metrics in it.
func New() *Registry {
	r := &Registry{reg: prometheus.NewRegistry(), watchers: map[string]func(emit Emit){}}
	r.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.groups.register(r.reg)
	r.reg.MustRegister(scrape{r})
	return r
}

// Handler serves /metrics.
func (r *Registry) Handler() http.Handler {
	return promhttp.InstrumentMetricHandler(r.reg, promhttp.HandlerFor(r.reg, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	}))
}

// Watch has fn asked at each scrape, instead of an earlier one with the same
// name. fn must not block for long.
func (r *Registry) Watch(name string, fn func(emit Emit)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers[name] = fn
}

// scrape collects what is read from the state. It is an unchecked collector:
// which values there are depends on the topology.
type scrape struct{ r *Registry }

// Describe implements prometheus.Collector.
func (s scrape) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s scrape) Collect(out chan<- prometheus.Metric) {
	s.r.mu.Lock()
	watchers := slices.Collect(maps.Values(s.r.watchers))
	s.r.mu.Unlock()
	emit := func(name, help string, kind Kind, value float64, labels ...string) {
		var names, values []string
		for i := 0; i+1 < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, labels[i+1])
		}
		t := prometheus.GaugeValue
		if kind == Counter {
			t = prometheus.CounterValue
		}
		m, err := prometheus.NewConstMetric(prometheus.NewDesc(name, help, names, nil), t, value, values...)
		if err != nil {
			m = prometheus.NewInvalidMetric(prometheus.NewDesc(name, help, nil, nil), err)
		}
		out <- m
	}
	for _, fn := range watchers {
		fn(emit)
	}
}
