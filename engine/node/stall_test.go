package node

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"anabranch.dev/engine/raftlog"
)

// A leader whose disk hangs ends at once, and another one decides.
func TestHangingDiskHandsOver(t *testing.T) {
	hang := make([]atomic.Bool, 3)
	release := make(chan struct{})
	r := startRig(t, func(i int, cfg *Config) {
		cfg.Disk = func(o *raftlog.Options) {
			o.Fault = func(op raftlog.Op, _ string) error {
				if hang[i].Load() && (op == raftlog.OpSync || op == raftlog.OpWrite) {
					<-release
				}
				return nil
			}
		}
	})
	produce(t, r.broker.Addr(), lines(0, 30)...)
	r.expect("a", 30)
	leader := r.leader()
	n := r.nodes[leader]
	r.nodes[leader] = nil
	t.Cleanup(func() {
		// What hung ends behind Run's back; the files are needed until then.
		close(release)
		eventually(t, "the end of what hung", func() bool { return n.dir.lock.Close() != nil })
	})
	hang[leader].Store(true)
	start := time.Now()
	produce(t, r.broker.Addr(), lines(30, 60)...)
	select {
	case err := <-n.done:
		if !errors.Is(err, ErrStalled) {
			t.Fatalf("Run = %v; want %v", err, ErrStalled)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Run has not returned")
	}
	t.Logf("Run ended %v after the disk hung", time.Since(start).Round(time.Millisecond))
	r.expect("a", 60)
}
