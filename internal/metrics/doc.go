// Package metrics is the one place that knows Prometheus. A [Registry] belongs
// to one node; [Registry.Group] gives the instruments of one group, which are
// cheap enough for the decision path. What can be read from the state when it
// is asked for is not counted on the way: it is registered with
// [Registry.Watch] and read at each scrape.
//
// Names are anabranch_<part>_<what>_<unit>; latencies are native histograms in
// seconds.
package metrics
