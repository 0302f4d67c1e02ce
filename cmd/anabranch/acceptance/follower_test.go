package acceptance

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
)

// A follower that was off for longer than the log reaches back catches up by a
// snapshot while orders are decided.
func TestLaggingFollower(t *testing.T) {
	skipShort(t, "lets a follower fall far behind")
	const events = 100_000
	r := newTrial(t, 500, func(int) string { return snapshots })
	lead, others := r.followers()
	away := others[0]
	calm := time.Now()
	r.decide(2000)
	r.kill(away)
	killed := time.Now()
	r.orders.more.Add(events)
	r.decide(events)
	replayed := time.Now()
	r.decide(2000)
	v, ok := r.look(lead)
	if !ok || v.Groups[0].SnapshotIndex == 0 {
		t.Fatalf("n%d: no snapshot: %+v", lead+1, v)
	}
	began := time.Now()
	r.start(away)
	r.caughtUp(away)
	caught := time.Now()
	if out := r.nodes[away].Output(); !strings.Contains(out, `"installing snapshot"`) {
		t.Errorf("n%d caught up without a snapshot:\n%s", away+1, tailOf(out))
	}
	r.decide(1000)
	t.Logf("%d events without n%d in %v; caught up after %v; p99 of decisions before %v, meanwhile %v; longest time without one meanwhile %v", events, away+1,
		replayed.Sub(killed).Round(time.Millisecond), caught.Sub(began).Round(time.Millisecond), r.delay(calm, killed), r.delay(began, caught), r.gaps.within(began, caught))
	r.finish()
}

// pause is for how long a process is stopped: longer than any timeout of the
// others.
const pause = 3 * time.Second

// Processes that are stopped for a while and go on, and ones that are restarted
// in turn, lose nothing and double nothing.
func TestPausedAndRestarted(t *testing.T) {
	skipShort(t, "stops processes for seconds")
	r := newTrial(t, 300, func(int) string { return "" })
	t.Run("follower paused", func(t *testing.T) {
		lead, others := r.followers()
		term := r.term(lead)
		r.paused(t, others[0])
		if now := r.term(lead); now != term {
			t.Errorf("term = %d; want %d as before", now, term)
		}
	})
	t.Run("leader paused", func(t *testing.T) {
		lead, _ := r.followers()
		term := r.term(lead)
		r.paused(t, lead)
		if now := r.term(lead); now <= term {
			t.Errorf("term of n%d = %d; want one after %d", lead+1, now, term)
		}
		if now := r.leader(); now == lead {
			t.Errorf("n%d leads again; want another", lead+1)
		}
	})
	t.Run("restarted in turn", func(t *testing.T) {
		for i := range r.nodes {
			began := time.Now()
			wasLeader := r.leader() == i
			if code := r.nodes[i].Terminate(); code != 0 {
				t.Fatalf("n%d: exit code %d:\n%s", i+1, code, tailOf(r.nodes[i].Output()))
			}
			r.start(i)
			r.caughtUp(i)
			took := time.Since(began)
			r.decide(100)
			t.Logf("n%d (leader %v) restarted in %v; longest time without a decision %v", i+1, wasLeader, took.Round(10*time.Millisecond), r.gaps.within(began, began.Add(took)))
		}
	})
	r.finish()
}

// paused stops a process for a while.
func (r *trial) paused(t *testing.T, i int) {
	t.Helper()
	began := time.Now()
	r.signal(i, syscall.SIGSTOP)
	r.read("a while", func() bool { return time.Since(began) >= pause })
	r.signal(i, syscall.SIGCONT)
	r.decide(100)
	end := time.Now()
	process.Until(t, process.Patience, "it follows", func() bool {
		v, ok := r.look(i)
		return ok && v.Ready
	})
	r.caughtUp(i)
	t.Logf("n%d paused for %v; longest time without a decision %v", i+1, pause, r.gaps.within(began, end))
}

func (r *trial) signal(i int, sig os.Signal) { r.nodes[i].Signal(sig) }

// term is the term that a node knows.
func (r *trial) term(i int) uint64 {
	r.t.Helper()
	v, ok := r.look(i)
	if !ok {
		r.t.Fatalf("n%d does not answer", i+1)
	}
	return v.Groups[0].Term
}
