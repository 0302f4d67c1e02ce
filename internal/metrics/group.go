package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Group is the instruments of one group on this node. Its methods are safe for
// any goroutine.
type Group struct {
	decision, commit, apply, fsync prometheus.Observer
	entryBytes, entryItems         prometheus.Observer

	records, outcomes *prometheus.CounterVec
	deadLetters       *prometheus.CounterVec
	elections         prometheus.Counter
	faults            *prometheus.CounterVec
	deliveries        *prometheus.CounterVec
	label             string
}

type groupVectors struct {
	decision, commit, apply, fsync, entryBytes, entryItems *prometheus.HistogramVec
	records, outcomes, deadLetters                         *prometheus.CounterVec
	elections, faults, deliveries                          *prometheus.CounterVec
}

func (v *groupVectors) register(reg *prometheus.Registry) {
	histogram := func(name, help string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"group"})
		reg.MustRegister(h)
		return h
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"group"}, labels...))
		reg.MustRegister(c)
		return c
	}
	v.decision = histogram("anabranch_group_decision_latency_seconds", "From an event's arrival in memory to its replicated and applied effect.")
	v.commit = histogram("anabranch_group_commit_latency_seconds", "From proposing an entry to its commit.")
	v.apply = histogram("anabranch_group_apply_seconds", "Applying one entry.")
	v.fsync = histogram("anabranch_log_fsync_seconds", "One sync of a log file.")
	v.entryBytes = histogram("anabranch_group_entry_bytes", "Size of proposed entries.")
	v.entryItems = histogram("anabranch_group_entry_events", "Events and commands in proposed entries.")
	v.records = counter("anabranch_outbox_records_total", "Outgoing records by event type.", "type")
	v.outcomes = counter("anabranch_outbox_outcomes_total", "Outgoing records that have an outcome, by type and outcome.", "type", "outcome")
	v.deadLetters = counter("anabranch_core_dead_letters_total", "Dead letters by reason.", "code")
	v.elections = counter("anabranch_group_elections_total", "Times this node became leader.")
	v.faults = counter("anabranch_group_faults_total", "Faults that stopped a replica or its delivery.", "part")
	v.deliveries = counter("anabranch_delivery_operations_total", "Operations on the sink by outcome.", "operation", "outcome")
}

// Group returns the instruments of a group.
func (r *Registry) Group(group int) *Group {
	v, label := &r.groups, strconv.Itoa(group)
	return &Group{
		decision: v.decision.WithLabelValues(label), commit: v.commit.WithLabelValues(label),
		apply: v.apply.WithLabelValues(label), fsync: v.fsync.WithLabelValues(label),
		entryBytes: v.entryBytes.WithLabelValues(label), entryItems: v.entryItems.WithLabelValues(label),
		records: v.records, outcomes: v.outcomes, deadLetters: v.deadLetters, elections: v.elections.WithLabelValues(label),
		faults: v.faults, deliveries: v.deliveries, label: label,
	}
}

// Decided notes how long an event took from arrival to its replicated effect.
func (g *Group) Decided(took time.Duration) { g.decision.Observe(took.Seconds()) }

// Committed notes how long an entry took from proposal to commit.
func (g *Group) Committed(took time.Duration) { g.commit.Observe(took.Seconds()) }

// Applied notes how long applying an entry took.
func (g *Group) Applied(took time.Duration) { g.apply.Observe(took.Seconds()) }

// Synced notes how long a sync of a log file took.
func (g *Group) Synced(took time.Duration) { g.fsync.Observe(took.Seconds()) }

// Proposed notes an entry's size.
func (g *Group) Proposed(bytes, events int) {
	g.entryBytes.Observe(float64(bytes))
	g.entryItems.Observe(float64(events))
}

// Record counts an outgoing record.
func (g *Group) Record(eventType string) { g.records.WithLabelValues(g.label, eventType).Inc() }

// Outcome counts what an outgoing record decided, "" for nothing to count.
func (g *Group) Outcome(eventType, outcome string) {
	if outcome != "" {
		g.outcomes.WithLabelValues(g.label, eventType, outcome).Inc()
	}
}

// DeadLetter counts a dead letter.
func (g *Group) DeadLetter(code string) { g.deadLetters.WithLabelValues(g.label, code).Inc() }

// Elected counts a leadership.
func (g *Group) Elected() { g.elections.Inc() }

// Fault counts what stopped a replica, or a part of it.
func (g *Group) Fault(part string) { g.faults.WithLabelValues(g.label, part).Inc() }

// Delivered counts an operation on the sink: open or send, and ok or why not.
func (g *Group) Delivered(operation, outcome string) {
	g.deliveries.WithLabelValues(g.label, operation, outcome).Inc()
}
