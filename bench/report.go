package bench

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"anabranch.dev/internal/assembly"
)

// Report is one measurement. Times are in microseconds.
type Report struct {
	What              string    `json:"what"`
	Commit            string    `json:"commit"`
	Machine           Machine   `json:"machine"`
	SharedWith        string    `json:"shared_with"`
	Nodes             int       `json:"nodes"`
	Durability        string    `json:"durability"`
	Fdatasync         Fdatasync `json:"fdatasync_us"`
	GOGC              string    `json:"gogc"`
	Command           string    `json:"command"`
	OfferedPerSecond  float64   `json:"offered_per_second"`
	AchievedPerSecond float64   `json:"achieved_per_second"`
	Events            int64     `json:"events"`
	Latency           Latency   `json:"latency_us"`
	CPUSeconds        float64   `json:"cpu_seconds"`
	RSSMiB            float64   `json:"rss_mib"`
	Checks            Checks    `json:"checks"`
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

// Checks must all be 0.
type Checks struct {
	Oversold int64 `json:"oversold"`
	Lost     int64 `json:"lost"`
	Doubled  int64 `json:"doubled"`
}

// Failed says whether a check found something.
func (c Checks) Failed() bool { return c != Checks{} }

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, time.Minute.Nanoseconds(), 3)
}

// record adds a time; what is above the histogram's range counts as its top.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	if err := h.RecordValue(min(max(d.Nanoseconds(), 0), h.HighestTrackableValue())); err != nil {
		panic(err) // a clamped value is always in range
	}
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	us := func(ns int64) float64 { return float64(ns/100) / 10 }
	return Latency{P50: us(h.ValueAtQuantile(50)), P90: us(h.ValueAtQuantile(90)), P99: us(h.ValueAtQuantile(99)),
		P999: us(h.ValueAtQuantile(99.9)), Max: us(h.Max())}
}

// newReport fills in what does not depend on the measurement.
func newReport(what, sharedWith string) *Report {
	gogc := os.Getenv("GOGC")
	if gogc == "" {
		gogc = strconv.Itoa(assembly.GCPercent)
	}
	return &Report{What: what, Commit: commit(), SharedWith: sharedWith, GOGC: gogc, Command: strings.Join(os.Args, " "),
		Machine: Machine{CPU: cpuModel(), Cores: runtime.NumCPU(), Kernel: kernel()}}
}

// commit is the revision the binary was built from, or that of the checkout it
// runs in.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	out, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return strings.TrimSpace(string(text))
}

// cpuSeconds is the processor time this process has used, all threads.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// rssMiB is the memory this process holds now.
func rssMiB() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			if err == nil {
				return float64(int(kib/102.4)) / 10
			}
		}
	}
	return 0
}
