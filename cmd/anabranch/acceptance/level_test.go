package acceptance

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
)

// rolling is a cluster that is brought from one feature level to the next.
type rolling struct {
	*trial
	next process.Build // knows the next one

	digests map[digestAt]string // what the first replica had there
	agreed  int                 // others that had the same
}

type digestAt struct {
	group int
	index uint64
}

// replace has a node end in order and start with a build, nil for the one under
// test.
func (r *rolling) replace(i int, b *process.Build) {
	r.t.Helper()
	if code := r.nodes[i].Terminate(); code != 0 {
		r.t.Fatalf("n%d: exit code %d:\n%s", i+1, code, tailOf(r.nodes[i].Output()))
	}
	r.nodes[i] = nil
	r.startAs(i, b)
	r.caughtUp(i)
}

func (r *rolling) startAs(i int, b *process.Build) {
	r.t.Helper()
	if b == nil {
		r.start(i)
		return
	}
	r.nodes[i] = b.StartServe(r.t, r.configs[i])
}

// leadAndAgree has each of some nodes lead for a while, under load, until all
// replicas have been compared at the same entries.
func (r *rolling) leadAndAgree(leaders ...int) {
	r.t.Helper()
	for _, lead := range leaders {
		name := "n" + strconv.Itoa(lead+1)
		process.Until(r.t, process.Patience, name+" leads", func() bool {
			code, out := r.nodes[lead].Client("cluster", "transfer", "0", "--to", name)
			return code == 0 || strings.Contains(out, name+" leads")
		})
		r.decide(50)
		want := r.agreed + 2*len(r.nodes)
		process.Until(r.t, process.Patience, "digests of all replicas at the same entries", func() bool {
			r.compare()
			return r.agreed >= want
		})
	}
}

// compare holds the digests that nodes have taken against each other.
func (r *rolling) compare() {
	r.t.Helper()
	for i, n := range r.nodes {
		var s struct {
			Groups []struct {
				Group   int
				Digests []struct {
					Index  uint64
					Digest string
				}
			}
		}
		if n == nil || n.Get("/v1/cluster", &s) != nil {
			continue
		}
		for _, g := range s.Groups {
			for _, d := range g.Digests {
				at := digestAt{g.Group, d.Index}
				switch first, known := r.digests[at]; {
				case !known:
					r.digests[at] = d.Digest
				case first != d.Digest:
					r.t.Fatalf("n%d, group %d at entry %d: digest %s; another replica has %s", i+1, g.Group, d.Index, d.Digest, first)
				default:
					r.agreed++
				}
			}
		}
	}
}

// levels fails unless the status of a node shows what is in force, and what each
// node knows.
func (r *rolling) levels(at, inForce int, knows ...int) {
	r.t.Helper()
	var s struct {
		LevelInForce int `json:"level_in_force"`
		Nodes        []struct {
			FeatureLevel int `json:"feature_level"`
		}
	}
	process.Until(r.t, process.Patience, "the status of all nodes", func() bool {
		if r.nodes[at].Get("/v1/cluster", &s) != nil || len(s.Nodes) != len(knows) {
			return false
		}
		for i := range knows {
			if s.Nodes[i].FeatureLevel != knows[i] {
				return false
			}
		}
		return s.LevelInForce == inForce
	})
}

// changed is since when a total stands, as a node with the next build says: "" if
// its row is of the format before.
func (r *rolling) changed(at int) (when string) {
	r.t.Helper()
	process.Until(r.t, process.Patience, "totals", func() bool {
		var a struct {
			Outcomes []struct{ Outcome, Changed string }
		}
		if r.nodes[at].Get("/v1/totals/CNY", &a) != nil || len(a.Outcomes) == 0 {
			return false
		}
		when = a.Outcomes[0].Changed
		return true
	})
	return when
}

// Three nodes are replaced one by one by a build that knows the next feature
// level, while they decide orders. Mixed, replicas agree after the same entries
// whichever build leads, one build takes the other's snapshot, and a node goes
// back. After the upgrade rows are of the new format, and the build before refuses
// to start. Every order is decided once.
func TestRollingUpgrade(t *testing.T) {
	skipShort(t, "replaces processes by those of another build under load")
	next := process.NewBuild(t, "level2")
	began := time.Now()
	r := &rolling{trial: newTrial(t, 200, func(int) string { return snapshots }), next: next, digests: map[digestAt]string{}}
	r.levels(0, 1, 1, 1, 1)
	r.orders.more.Add(burst)

	r.replace(0, &next)
	r.leadAndAgree(1, 0)
	r.levels(2, 1, 2, 1, 1)
	r.replace(0, nil) // back
	r.leadAndAgree(0)
	r.replace(0, &next)
	r.replace(1, &next)
	r.leadAndAgree(0)
	if code, out := r.nodes[0].Client("cluster", "upgrade"); code != 1 || !strings.Contains(out, "node n3 knows feature level 1") {
		t.Errorf("upgrade while a node knows one level = %d: %s", code, out)
	}
	if _, out := r.nodes[2].Client("cluster", "status"); !strings.Contains(out, "feature level 1 in force") || !strings.Contains(out, "some nodes know feature level 2") {
		t.Errorf("status = %s", out)
	}
	r.refilled(2)
	r.leadAndAgree(2, 1)
	if when := r.changed(0); !strings.HasPrefix(when, "1970-") && when != "" {
		t.Errorf("total is of the new format before its level is in force: changed %s", when)
	}

	r.replace(2, &next)
	if code, out := r.nodes[2].Client("cluster", "upgrade"); code != 0 || !strings.Contains(out, "feature level 2 is in force, before it was 1") {
		t.Fatalf("upgrade = %d: %s", code, out)
	}
	r.levels(1, 2, 2, 2, 2)
	r.leadAndAgree(0)
	process.Until(t, process.Patience, "a total of the new format", func() bool {
		when, err := time.Parse(time.RFC3339Nano, r.changed(0))
		return err == nil && when.After(began)
	})

	if code := r.nodes[2].Terminate(); code != 0 {
		t.Fatalf("n3: exit code %d", code)
	}
	r.nodes[2] = nil
	older := process.Start(t, "serve", "--config", r.configs[2])
	if code := older.End(); code != 1 || !strings.HasSuffix(strings.TrimSpace(older.Errors()), "this build knows feature level 1, the group is at 2: upgrade this node") {
		t.Errorf("the build before: exit code %d, %s", code, older.Errors())
	}
	verify := process.Start(t, "verify", r.data(2))
	if code := verify.End(); code != 1 || !strings.Contains(verify.Errors(), "this build knows feature level 1") || strings.Contains(verify.Output(), "damaged") {
		t.Errorf("verify by the build before: exit code %d, %s", code, verify.Output())
	}
	r.startAs(2, &next)
	r.caughtUp(2)
	r.leadAndAgree(2)
	r.finish()
	t.Logf("%d digests compared, %v after the builds were there", r.agreed, time.Since(began).Round(time.Second))
}

// burst is how many orders come beside the steady flow: more than the log keeps
// behind a snapshot.
const burst = 40_000

// refilled has a node that has lost its directory start with the build under test,
// and be filled by another build's snapshot.
func (r *rolling) refilled(i int) {
	r.t.Helper()
	r.read("the burst", func() bool { return len(r.log.list) >= burst })
	r.nodes[i].Kill()
	r.nodes[i] = nil
	if err := os.RemoveAll(r.data(i)); err != nil {
		r.t.Fatal(err)
	}
	r.startAs(i, nil)
	r.nodes[i].Wait(`"msg":"installing snapshot"`)
	r.caughtUp(i)
}
