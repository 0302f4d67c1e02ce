package acceptance

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
)

// harm is a way in which a stopped replica's files are damaged.
type harm struct {
	what string
	do   func(t *testing.T, data, group string)
	// harmless: what is hit may be unused; then nothing need be replaced.
	harmless bool
	// wiped: there is nothing to set aside.
	wiped bool
}

func harms() []harm {
	return []harm{
		{what: "wiped directory", wiped: true, do: func(t *testing.T, data, _ string) { remove(t, data) }},
		{what: "bit in the log", do: func(t *testing.T, _, group string) { changeFile(t, newest(t, group, "log/*.wal"), flipIn) }},
		{what: "log cut off", do: func(t *testing.T, _, group string) {
			changeFile(t, newest(t, group, "log/*.wal"), func(b []byte) []byte { return b[:inUse(b)] })
		}},
		{what: "mark", do: func(t *testing.T, _, group string) { changeFile(t, newest(t, group, "log/mark"), damaged) }},
		{what: "log's metadata", do: func(t *testing.T, _, group string) { changeFile(t, newest(t, group, "log/wal-meta.db"), damaged) }},
		{what: "MANIFEST", harmless: true, do: func(t *testing.T, _, group string) { changeFile(t, newest(t, group, "state/MANIFEST-*"), flipMiddle) }},
		{what: "snapshot's description", do: func(t *testing.T, _, group string) {
			changeFile(t, newest(t, group, "snapshots/*/meta.json"), flipMiddle)
		}},
		{what: "snapshot's MANIFEST", do: func(t *testing.T, _, group string) {
			changeFile(t, newest(t, group, "snapshots/*/state/MANIFEST-*"), flipMiddle)
		}},
		{what: "table", do: func(t *testing.T, _, group string) { changeFile(t, largest(t, group, "state/*.sst"), flipMiddle) }},
	}
}

// Whatever is damaged of one replica's files: it is noticed and said, the files
// are set aside, and a new replica takes its place, while orders are decided.
func TestDamagedReplica(t *testing.T) {
	skipShort(t, "damages replicas in many ways")
	r := newTrial(t, 300, func(int) string { return snapshots })
	for n, h := range harms() {
		_, others := r.followers()
		victim := others[n%len(others)]
		t.Run(h.what, func(t *testing.T) { r.harmed(t, victim, h) })
	}
	t.Run("leader's log while it runs", r.leaderHarmed)
	t.Run("leader's snapshot", r.snapshotHarmed)
	t.Run("two of three", r.majorityHarmed)
	r.finish()
}

// harmed damages a follower and waits until it is a voter again.
func (r *trial) harmed(t *testing.T, victim int, h harm) {
	r.longLog(t, victim)
	old := r.replica(victim)
	r.kill(victim)
	h.do(t, r.data(victim), r.group(victim))
	began := time.Now()
	r.start(victim)
	if h.harmless {
		r.caughtUp(victim)
		t.Logf("%s is %s after %v", old, r.replica(victim), time.Since(began).Round(10*time.Millisecond))
		return
	}
	r.replaced(t, victim, old, began)
	if !h.wiped {
		r.quarantined(t, victim, old)
	}
}

// replaced waits until a node has another replica than the old one, which votes
// and has caught up.
func (r *trial) replaced(t *testing.T, victim int, old string, began time.Time) {
	t.Helper()
	process.Until(t, time.Minute, "a new replica in place of "+old, func() bool {
		v, ok := r.look(victim)
		return ok && v.Groups[0].Replica != old && v.Groups[0].Role == "follower"
	})
	r.caughtUp(victim)
	end := time.Now()
	r.read("decisions after it", func() bool { return len(r.gaps.sent) > 0 && r.gaps.sent[len(r.gaps.sent)-1].After(end) })
	t.Logf("%s replaced by %s: a voter again after %v; longest time without a decision %v",
		old, r.replica(victim), end.Sub(began).Round(10*time.Millisecond), r.gaps.within(began, end))
}

// quarantined wants the old replica's files set aside, and said why.
func (r *trial) quarantined(t *testing.T, victim int, old string) {
	t.Helper()
	dirs := files(t, r.data(victim), "node/quarantine/group-0-*")
	if len(dirs) == 0 {
		t.Fatal("nothing in quarantine")
	}
	reason, err := os.ReadFile(filepath.Join(dirs[len(dirs)-1], "reason.txt"))
	if err != nil {
		t.Fatal(err)
	}
	said := strings.TrimSpace(string(reason))
	if lines := strings.Split(said, "\n"); len(lines) < 2 || !strings.HasPrefix(said, "replica "+old+",") {
		t.Errorf("reason is %q; want the name %s and why", said, old)
	}
	t.Log(said)
	out := r.nodes[victim].Output()
	for _, want := range []string{`"replica is damaged"`, `"replica is being replaced","group":0,"old":"` + old + `"`} {
		if !strings.Contains(out, want) {
			t.Errorf("log of n%d lacks %s:\n%s", victim+1, want, tailOf(out))
		}
	}
}

// leaderHarmed damages the log of a leader while it runs. It is noticed when a
// follower that was away asks for it.
func (r *trial) leaderHarmed(t *testing.T) {
	lead, others := r.followers()
	away := others[0]
	r.longLog(t, lead)
	old := r.replica(lead)
	r.kill(away)
	r.decide(2400) // more than leaders keep in memory for followers
	overwrite(t, newest(t, r.group(lead), "log/*.wal"))
	began := time.Now()
	r.start(away)
	r.replaced(t, lead, old, began)
	r.quarantined(t, lead, old)
	r.caughtUp(away)
	if now := r.leader(); now == lead {
		t.Logf("n%d leads again", lead+1)
	}
}

// snapshotHarmed damages the leader's snapshot, and has a follower that was away
// ask for it. What is bad may be of the snapshot only, or of the state too.
func (r *trial) snapshotHarmed(t *testing.T) {
	lead, others := r.followers()
	away := others[0]
	r.longLog(t, away)
	old := map[int]string{away: r.replica(away), lead: r.replica(lead)}
	r.kill(away)
	const events = 40_000 // more than the log keeps behind a snapshot
	r.orders.more.Add(events)
	r.decide(events)
	before, _ := r.look(lead)
	process.Until(t, time.Minute, "a newer snapshot", func() bool {
		v, ok := r.look(lead)
		return ok && v.Groups[0].SnapshotIndex > before.Groups[0].SnapshotIndex
	})
	overwriteAt(t, largest(t, r.group(lead), "snapshots/*/state/*.sst"))
	began := time.Now()
	r.start(away)
	r.caughtUp(away)
	r.caughtUp(lead)
	took := time.Since(began)
	r.decide(100)
	// The state lies in the same blocks, which may be linked and not copied.
	process.Until(t, process.Patience, "the bad snapshot found, or the leader's state", func() bool {
		return strings.Contains(r.nodes[lead].Output(), "snapshot is damaged and made anew") || r.replica(lead) != old[lead]
	})
	t.Logf("%s is %s, the leader's %s is %s, after %v; longest time without a decision %v", old[away], r.replica(away), old[lead], r.replica(lead),
		took.Round(10*time.Millisecond), r.gaps.within(began, began.Add(took)))
}

// majorityHarmed damages two of three: nothing is replaced, nothing touched,
// and with one of them put back the cluster goes on.
func (r *trial) majorityHarmed(t *testing.T) {
	lead, others := r.followers()
	for _, i := range others {
		r.longLog(t, i)
	}
	a, b := others[0], others[1]
	names := map[int]string{a: r.replica(a), b: r.replica(b)}
	r.kill(a)
	r.kill(b)
	began := time.Now()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(r.group(a))); err != nil {
		t.Fatal(err)
	}
	for _, i := range others {
		changeFile(t, newest(t, r.group(i), "log/*.wal"), flipIn)
	}
	before := map[int][]string{a: files(t, r.data(a), "node/quarantine/*"), b: files(t, r.data(b), "node/quarantine/*")}
	r.start(a)
	r.start(b)
	for i, other := range map[int]int{a: b, b: a} {
		r.nodes[i].Wait(fmt.Sprintf(`"replica is not replaced".*n%d is damaged too`, other+1))
		code, out := r.nodes[lead].Client("cluster", "status")
		if want := fmt.Sprintf("group 0 on node n%d is damaged: ", i+1); code != 0 || !strings.Contains(out, want) {
			t.Errorf("cluster status = %d, lacks %q:\n%s", code, want, out)
		}
	}
	code, out := r.nodes[a].Client("cluster", "status")
	if want := "The files stay as they are"; code != 0 || !strings.Contains(out, want) {
		t.Errorf("cluster status of a damaged node = %d, lacks %q:\n%s", code, want, out)
	}
	for i, name := range names {
		if now := files(t, r.data(i), "node/quarantine/*"); len(now) != len(before[i]) || r.replica(i) != name {
			t.Errorf("n%d: replica %s, quarantine %v; want %s, %v", i+1, r.replica(i), now, name, before[i])
		}
	}
	r.kill(a)
	remove(t, r.group(a))
	if err := os.CopyFS(r.group(a), os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
	r.start(a)
	r.caughtUp(a)
	r.replaced(t, b, names[b], began)
	if name := r.replica(a); name != names[a] {
		t.Errorf("n%d: replica %s after its files were put back; want %s", a+1, name, names[a])
	}
}

// group is where a node keeps its replica.
func (r *trial) group(i int) string { return filepath.Join(r.data(i), "node", "group-0") }

// beyond is how many entries of log there are after a snapshot when files are
// damaged: more than were acknowledged since the mark was written last.
const beyond = 300

// longLog waits until a node has a snapshot and some log behind it.
func (r *trial) longLog(t *testing.T, i int) {
	t.Helper()
	ready := func() bool {
		v, ok := r.look(i)
		if !ok || v.Groups[0].SnapshotIndex == 0 || v.Groups[0].Applied < v.Groups[0].SnapshotIndex+beyond || len(files(t, r.group(i), "state/*.sst")) == 0 {
			return false
		}
		b, err := os.ReadFile(newest(t, r.group(i), "log/*.wal"))
		return err == nil && len(used(b)) > 1<<20
	}
	if !ready() {
		r.orders.more.Add(5000)
	}
	process.Until(t, time.Minute, "a snapshot and a log", ready)
}

// used is what of a log segment was written.
func used(b []byte) []byte { return bytes.TrimRight(b, "\x00") }

// inUse is a place in a log segment that is acknowledged and not cut off yet.
func inUse(b []byte) int { return len(used(b)) - 1<<19 }

// flipIn flips a bit here and there: of a log that was filled after a snapshot
// some of it may not be in use, and a flip there harms nobody.
func flipIn(b []byte) []byte {
	for at := inUse(b); at < len(used(b))-1<<18; at += 1 << 16 {
		b[at] ^= 1
	}
	return b
}

func flipMiddle(b []byte) []byte {
	b[len(b)/2] ^= 1
	return b
}

// overwrite turns the newest half MiB of a log over, in place.
func overwrite(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(used(b))
	writeAt(t, path, damaged(b[end-1<<19:end]), int64(end-1<<19))
}

// overwriteAt turns one bit over in the middle of a file, in place.
func overwriteAt(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeAt(t, path, []byte{b[len(b)/2] ^ 1}, int64(len(b)/2))
}

func writeAt(t *testing.T, path string, b []byte, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

func changeFile(t *testing.T, path string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// files lists what matches, in order of names.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func newest(t *testing.T, dir, pattern string) string {
	t.Helper()
	// A snapshot that was being made when the node was killed is nobody's.
	list := slices.DeleteFunc(files(t, dir, pattern), func(path string) bool { return strings.Contains(path, ".partial/") })
	if len(list) == 0 {
		t.Fatalf("no file %s in %s", pattern, dir)
	}
	return list[len(list)-1]
}

func largest(t *testing.T, dir, pattern string) (path string) {
	t.Helper()
	most := int64(-1)
	for _, f := range files(t, dir, pattern) {
		if info, err := os.Stat(f); err == nil && info.Size() > most {
			path, most = f, info.Size()
		}
	}
	if path == "" {
		t.Fatalf("no file %s in %s", pattern, dir)
	}
	return path
}

// tailOf is the end of a long output.
func tailOf(out string) string {
	lines := strings.Split(out, "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
