package acceptance

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch.dev/bench/replay"
	"anabranch.dev/cmd/anabranch/internal/process"
)

// TestThreeNodesManyGroups replays invoices into three processes with several
// groups, led by different nodes. What no order of events can change is what one
// group gives: all is accounted for, and as much is ordered, cancelled and
// returned. What was allocated where may differ, as orders of one minute ask for
// the same units; nothing is promised twice.
func TestThreeNodesManyGroups(t *testing.T) {
	skipShort(t, "replays invoices into three processes")
	to, counts := time.Date(2010, 12, 4, 0, 0, 0, 0, time.UTC), []int{2}
	if full() {
		to, counts = time.Time{}, []int{2, 4}
	}
	script, err := replay.UCI(dataSet(t, "uci-online-retail"), replay.Options{To: to})
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "one")
	one := loadTopics(t, data, script)
	d := process.StartDev(t, "--clock", "replay", "--no-sample", "--quiet", "--data", data)
	status := settle(t, d, one)
	events, letters := accounted(t, &status)
	want := totals(t, d.Node)
	for _, groups := range counts {
		t.Run(fmt.Sprint(groups, " groups"), func(t *testing.T) {
			broker := startOwnKafka(t)
			f := startFleet(t, broker.address(), filepath.Join(data, "pseudonym.key"), fmt.Sprintf(", clock: replay, groups: %d", groups), nil)
			f.spread(groups)
			records := load(t, broker.address(), script)
			began := time.Now()
			status := f.settle(records)
			log := newDecisions(t)
			log.tail(broker.address()).toEnd()
			log.good()
			n, dead := accounted(t, &status)
			if n != events {
				t.Errorf("%d events; want %d", n, events)
			}
			short := log.short()
			for _, d := range short[:min(len(short), 3)] {
				t.Log(d)
			}
			// Orders of one minute compete for the last of an SKU where one group
			// has them in turn: one may be left short, and its shipment refused.
			if len(short) == 0 && dead != letters {
				t.Errorf("%d dead letters; want %d", dead, letters)
			}
			got := totals(t, f.nodes[0])
			for _, name := range []string{"ordered", "cancelled", "returned"} {
				if got[name] != want[name] {
					t.Errorf("%s = %+v; want %+v", name, got[name], want[name])
				}
			}
			if got, want := got["allocated"].Units, want["allocated"].Units; len(short) == 0 && got != want {
				t.Errorf("%d units allocated; want %d", got, want) // there is stock for all
			}
			t.Logf("%d events, %d dead letters, %d decisions and releases in %.1f s; %d of %d units allocated (with one group %d)", n, dead, len(log.list),
				time.Since(began).Seconds(), got["allocated"].Units, got["ordered"].Units, want["allocated"].Units)
			t.Logf("%d shards with rows, the same on three replicas", f.sameDigests())
			f.stop()
		})
	}
}

// short lists the decisions that failed a line, and fails the test for each that
// was made without all answers: under the replay clock no time passes while one is
// under way.
func (d *decisions) short() (list []string) {
	d.t.Helper()
	for _, id := range slices.Sorted(maps.Keys(d.records)) {
		r := d.records[id]
		if strings.Contains(r, `"outcome":"failed"`) {
			list = append(list, r)
		}
		if strings.Contains(r, "time is up") {
			d.t.Errorf("decided before all had answered: %s", r)
		}
	}
	return list
}

// spread waits until no node leads two groups more than another.
func (f *fleet) spread(groups int) {
	f.t.Helper()
	process.Until(f.t, time.Minute, "leaders on different nodes", func() bool {
		least, most, all := groups, 0, 0
		for i := range f.nodes {
			v, _ := f.look(i)
			n := 0
			for _, g := range v.Groups {
				if g.Role == "leader" {
					n++
				}
			}
			least, most, all = min(least, n), max(most, n), all+n
		}
		return all == groups && most-least <= 1
	})
}
