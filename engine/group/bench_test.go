package group

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/engine/raftlog"
)

// BenchmarkSubmit is one caller: a command's way into the log, the core and
// back.
func BenchmarkSubmit(b *testing.B) {
	for _, durability := range []raftlog.Durability{raftlog.Memory, raftlog.Disk} {
		b.Run(string(durability), func(b *testing.B) {
			cfg := config(b, b.TempDir(), &broker{})
			cfg.Durability = durability
			r := start(b, cfg)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				r.add(fmt.Sprint(n), "a", 1)
			}
			r.mustEnd()
		})
	}
}

// steady keeps the leader where it is on a machine that does other things too.
func steady(durability raftlog.Durability) func(int, *Config) {
	return func(_ int, cfg *Config) { cfg.Durability, cfg.Timeout = durability, time.Second }
}

// BenchmarkReplicate proposes entries of 2 KiB to three replicas at a fixed
// rate, whether they are done or not, and reports how long each takes until it
// is applied on the leader. Deliveries and acknowledgements go on beside it.
func BenchmarkReplicate(b *testing.B) {
	for _, durability := range []raftlog.Durability{raftlog.Memory, raftlog.Disk} {
		for _, rate := range []int{1000, 2000, 8000} {
			b.Run(fmt.Sprintf("%s/%d", durability, rate), func(b *testing.B) {
				c := newTrio(b, steady(durability))
				p := c.newProposals()
				b.ResetTimer()
				p.open(b.N, time.Second/time.Duration(rate))
				b.StopTimer()
				p.report(b)
			})
		}
	}
}

// BenchmarkReplicateOneByOne has one entry in flight.
func BenchmarkReplicateOneByOne(b *testing.B) {
	c := newTrio(b, steady(raftlog.Memory))
	p := c.newProposals()
	for b.Loop() {
		p.propose()
		p.done.Wait()
	}
	p.report(b)
}

// proposals are commands of 2 KiB on their way.
type proposals struct {
	g *Group
	n int

	done  sync.WaitGroup
	mu    sync.Mutex // guards what follows
	times []time.Duration
	fault error
}

func (c *trio) newProposals() *proposals {
	p := &proposals{g: c.leader().Group}
	for range 100 {
		p.propose()
		p.done.Wait()
	}
	p.times = nil
	return p
}

func (p *proposals) propose() {
	p.n++
	e := tally.Event(strings.Repeat("i", 1900)+fmt.Sprint(p.n), "a", 1)
	p.done.Go(func() {
		begun := time.Now()
		_, err := p.g.Submit(context.Background(), e, false)
		took := time.Since(begun)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.times = append(p.times, took)
		if err != nil {
			p.fault = err
		}
	})
}

// open proposes n entries at a fixed interval.
func (p *proposals) open(n int, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range n {
		<-tick.C
		p.propose()
	}
	p.done.Wait()
}

func (p *proposals) report(b *testing.B) {
	if p.fault != nil {
		b.Fatal(p.fault)
	}
	slices.Sort(p.times)
	at := func(q float64) float64 {
		return float64(p.times[int(q*float64(len(p.times)-1))].Microseconds())
	}
	b.ReportMetric(at(0.5), "p50-µs")
	b.ReportMetric(at(0.99), "p99-µs")
	b.ReportMetric(at(0.999), "p999-µs")
}
