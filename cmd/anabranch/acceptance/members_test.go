package acceptance

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
)

// TestMembers has a cluster decide orders all the time while its nodes change: a
// fourth is added, the leader is drained and removed, and its machine comes back
// as a new node. Every order is decided once, and what keeps still is measured.
func TestMembers(t *testing.T) {
	skipShort(t, "adds and removes processes under load")
	const perSecond = 300
	r := newTrialOf(t, perSecond, ", groups: 2", nil)
	if code, out := r.nodes[1].Client("cluster", "transfer", "0", "--to", "n1"); code != 0 && !strings.Contains(out, "n1 leads") {
		t.Fatalf("transfer = %d: %s", code, out)
	}
	during := func(what string, args ...string) {
		t.Helper()
		began := time.Now()
		if code, out := r.nodes[1].Client(append([]string{"cluster"}, args...)...); code != 0 {
			t.Fatalf("%s = %d: %s", what, code, out)
		}
		ended := time.Now()
		r.decide(perSecond)
		t.Logf("%s: %v, meanwhile at most %v without a decision, 99 %% decided within %v, the slowest within %v", what, ended.Sub(began).Round(time.Millisecond),
			r.gaps.within(began, ended), r.delay(began, ended), r.slowest(began, ended))
	}

	peer := "127.0.0.1:" + strconv.Itoa(process.FreePort(t))
	r.configs = append(r.configs, r.joiner("n4", peer))
	r.nodes = append(r.nodes, process.StartServe(t, r.configs[3]))
	during("add n4", "add", "n4", peer)
	if code, out := r.nodes[1].Client("cluster", "remove", "n1"); code != 1 || !strings.Contains(out, "n1 is not drained") {
		t.Errorf("remove of a node that is not drained = %d: %s", code, out)
	}
	during("drain n1", "drain", "n1")
	during("remove n1", "remove", "n1")

	gone := r.nodes[0]
	if code := gone.End(); code != 1 || !strings.Contains(gone.Output(), "node was removed from the cluster") {
		t.Errorf("n1, removed: exit code %d\n%s", code, tailOf(gone.Output()))
	}
	again := process.Start(t, "serve", "--config", r.configs[0])
	if code := again.End(); code != 1 || !strings.Contains(again.Output(), "n1 may not come back with what it held") {
		t.Errorf("n1 with its old data: exit code %d\n%s", code, tailOf(again.Output()))
	}
	if err := os.RemoveAll(r.data(0)); err != nil {
		t.Fatal(err)
	}
	r.start(0)
	during("add n1 again", "add", "n1", r.peers[0])
	for i := range r.nodes {
		r.caughtUp(i)
	}
	r.finish()
}

// slowest is within what time every order that was placed in a span, and whose
// decision was read, had it.
func (r *trial) slowest(from, to time.Time) (longest time.Duration) {
	r.orders.mu.Lock()
	defer r.orders.mu.Unlock()
	for id, at := range r.orders.placed {
		if sent, ok := r.sent[id]; ok && at.After(from) && at.Before(to) {
			longest = max(longest, sent.Sub(at))
		}
	}
	return longest.Round(time.Millisecond)
}

// joiner writes the configuration of a node that is to join: that of the second
// with another name, place and address.
func (f *fleet) joiner(id, peer string) (path string) {
	f.t.Helper()
	text, err := os.ReadFile(f.configs[1])
	if err != nil {
		f.t.Fatal(err)
	}
	join := strings.Join(f.peers, ", ")
	path = filepath.Join(f.dir, id+".yaml")
	changed := strings.NewReplacer("id: n2,", "id: "+id+",", f.data(1), filepath.Join(f.dir, id), strconv.Quote(f.peers[1]), strconv.Quote(peer),
		"["+join+"]", "["+join+", "+peer+"]").Replace(string(text))
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}
