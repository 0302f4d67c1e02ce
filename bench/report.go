package bench

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"anabranch.dev/internal/assembly"
)

// Report is one measurement. Times are in microseconds unless their name says
// otherwise.
type Report struct {
	What       string    `json:"what"`
	Commit     string    `json:"commit"`
	Machine    Machine   `json:"machine"`
	SharedWith string    `json:"shared_with"`
	Nodes      int       `json:"nodes"`
	Durability string    `json:"durability"`
	Kafka      string    `json:"kafka,omitempty"`    // embedded, or the address of a real one
	Delivery   string    `json:"delivery,omitempty"` // where there is a Kafka
	Fdatasync  Fdatasync `json:"fdatasync_us"`
	GOGC       string    `json:"gogc"`
	Command    string    `json:"command"`

	OfferedPerSecond  float64 `json:"offered_per_second,omitempty"`
	AchievedPerSecond float64 `json:"achieved_per_second,omitempty"`
	Events            int64   `json:"events"`
	// CommitsInPath is how many Raft commits lie between an event and its
	// decision.
	CommitsInPath int      `json:"commits_in_path"`
	Latency       *Latency `json:"latency_us,omitempty"`
	// TimedAtDelivery are events whose time is too long: it was taken when their
	// decision was delivered, as the watcher had lost it.
	TimedAtDelivery int64   `json:"timed_at_delivery,omitempty"`
	Stalls          *Stalls `json:"stalls,omitempty"`
	Batch           *Batch  `json:"batch,omitempty"`
	GC              *GC     `json:"gc,omitempty"`
	// LeaderChanges are those during the measurement that nobody asked for.
	LeaderChanges int64 `json:"leader_changes"`

	Outcomes *Outcomes      `json:"outcomes,omitempty"` // hot-sku
	Failover *FailoverTimes `json:"failover,omitempty"`
	Restart  *RestartTimes  `json:"restart,omitempty"`
	Move     *MoveTimes     `json:"move,omitempty"`

	CPUSeconds float64 `json:"cpu_seconds"`
	// GeneratorCPUSeconds of them are the load's own, at most: how long it was
	// at work, sleeping apart.
	GeneratorCPUSeconds float64 `json:"generator_cpu_seconds"`
	RSSMiB              float64 `json:"rss_mib"`
	Checks              Checks  `json:"checks"`
}

// Machine is what it ran on.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
}

// Fdatasync is the disk's own time for a write of 4 KiB and an fdatasync.
type Fdatasync struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Latency summarises a histogram.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Stalls are stretches without a decision though events were waiting.
type Stalls struct {
	Over10ms  int64   `json:"over_10ms"`
	Over100ms int64   `json:"over_100ms"`
	Longest   float64 `json:"longest_us"`
}

// Batch is the leader's group commit.
type Batch struct {
	Entries        int64   `json:"entries"`
	EventsPerEntry float64 `json:"events_per_entry"`
	BytesPerEntry  float64 `json:"bytes_per_entry"`
}

// Outcomes counts the order lines of a run by what was decided.
type Outcomes struct {
	Allocated   int64 `json:"allocated"`
	Backordered int64 `json:"backordered"`
	Failed      int64 `json:"failed"`
	// HoldsPerSecond were granted from the beginning of the load, warm-up
	// included, until the last.
	HoldsPerSecond float64 `json:"holds_per_second"`
}

// Checks must all be 0.
type Checks struct {
	Oversold int64 `json:"oversold"`
	Lost     int64 `json:"lost"`
	Doubled  int64 `json:"doubled"`
	// Misplaced are records that come after one of the same key with a higher
	// number.
	Misplaced int64 `json:"misplaced"`
}

// Failed says whether a check found something.
func (c Checks) Failed() bool { return c != Checks{} }

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, (10 * time.Minute).Nanoseconds(), 3)
}

// record adds a time; what is above the histogram's range counts as its top.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	if err := h.RecordValue(min(max(d.Nanoseconds(), 0), h.HighestTrackableValue())); err != nil {
		panic(err) // a clamped value is always in range
	}
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	us := func(ns int64) float64 { return micros(time.Duration(ns)) }
	return Latency{P50: us(h.ValueAtQuantile(50)), P90: us(h.ValueAtQuantile(90)), P99: us(h.ValueAtQuantile(99)),
		P999: us(h.ValueAtQuantile(99.9)), Max: us(h.Max())}
}

// micros are microseconds with one decimal.
func micros(d time.Duration) float64 { return float64(d/100) / 10 }

// newReport fills in what does not depend on the measurement.
func newReport(what string, cfg *Config) *Report {
	gogc := os.Getenv("GOGC")
	if gogc == "" {
		gogc = strconv.Itoa(assembly.GCPercent)
	}
	return &Report{What: what, Commit: commit(), SharedWith: cfg.SharedWith, GOGC: gogc, Command: strings.Join(append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...), " "),
		Machine: Machine{CPU: cpuModel(), Cores: runtime.NumCPU(), Kernel: kernel()},
		Nodes:   cfg.Nodes, Durability: cfg.Durability, OfferedPerSecond: cfg.Rate, CommitsInPath: 1}
}
