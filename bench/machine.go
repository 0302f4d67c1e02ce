package bench

import (
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"time"
)

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
func cpuSeconds() float64 { return usage(syscall.RUSAGE_SELF) }

// childSeconds is the processor time of the children that have ended.
func childSeconds() float64 { return usage(syscall.RUSAGE_CHILDREN) }

func usage(who int) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// rssMiB is the memory a process holds now.
func rssMiB(pid int) float64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
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

func ownRSS() float64 { return rssMiB(os.Getpid()) }

// GC is what the garbage collector of this process did during a measurement.
type GC struct {
	Cycles     int64   `json:"cycles"`
	CPUSeconds float64 `json:"cpu_seconds"`
	AssistSecs float64 `json:"assist_seconds"` // of them, in goroutines that allocate
	Pauses     int64   `json:"pauses"`         // of all goroutines
	PauseP50   float64 `json:"pause_p50_us"`
	PauseMax   float64 `json:"pause_max_us"`
}

// gcMetrics are the runtime's names.
var gcMetrics = []string{"/gc/cycles/total:gc-cycles", "/cpu/classes/gc/total:cpu-seconds",
	"/cpu/classes/gc/mark/assist:cpu-seconds", "/sched/pauses/total/gc:seconds"}

// gcState is the runtime's counters at one time.
type gcState struct {
	cycles      uint64
	cpu, assist float64
	pauses      metrics.Float64Histogram
}

func readGC() gcState {
	samples := make([]metrics.Sample, len(gcMetrics))
	for i, name := range gcMetrics {
		samples[i].Name = name
	}
	metrics.Read(samples)
	return gcState{samples[0].Value.Uint64(), samples[1].Value.Float64(), samples[2].Value.Float64(), *samples[3].Value.Float64Histogram()}
}

// since says what has happened between two readings.
func (s gcState) since(before gcState) *GC {
	g := &GC{Cycles: int64(s.cycles - before.cycles), CPUSeconds: round(s.cpu - before.cpu), AssistSecs: round(s.assist - before.assist)}
	counts := make([]uint64, len(s.pauses.Counts))
	for i := range counts {
		counts[i] = s.pauses.Counts[i] - before.pauses.Counts[i]
		g.Pauses += int64(counts[i])
	}
	var seen int64
	for i, n := range counts {
		if n == 0 {
			continue
		}
		top := s.pauses.Buckets[i+1] // a bucket's upper end
		if math.IsInf(top, 1) {
			top = s.pauses.Buckets[i]
		}
		us := float64(int64(top*1e7)) / 10
		if seen += int64(n); g.PauseP50 == 0 && 2*seen >= g.Pauses {
			g.PauseP50 = us
		}
		g.PauseMax = us
	}
	return g
}

// round leaves three decimals.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }
