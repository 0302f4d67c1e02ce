package retail_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/operatortest"
	"anabranch.dev/topology/retail"
)

// Stories of the whole topology come out the same in one group and in more.
func TestStories(t *testing.T) {
	for _, groups := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("%d groups", groups), func(t *testing.T) {
			datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
				story, err := operatortest.NewStory(suite(t, groups))
				if err != nil {
					t.Fatal(err)
				}
				placed := 0
				datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
					if d.Cmd == "rush" {
						return rush(t, story, d, &placed)
					}
					text, err := story.Tell(d)
					if err != nil {
						d.Fatalf(t, "%s: %v", d.Cmd, err)
					}
					return text
				})
			})
		})
	}
}

func suite(t *testing.T, groups int) *operatortest.Suite {
	t.Helper()
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	shoe := map[string]string{"sku": "SHOE-42", "pool": "store"}
	return &operatortest.Suite{Plan: plan, Groups: groups, Sorted: true,
		Verbs: map[string]operatortest.Verb{
			"count":      {Type: "stock.counted", Defaults: shoe},
			"receive":    {Type: "stock.received", Defaults: shoe},
			"withhold":   {Type: "stock.withheld"},
			"unwithhold": {Type: "stock.released"},
			"ask":        {Type: "stock.asked", Defaults: map[string]string{"sku": "SHOE-42"}},
			"place":      {Type: "order.placed", Defaults: map[string]string{"currency": "CNY"}},
			"ship":       {Type: "order.shipped"},
			"reject":     {Type: "order.rejected"},
		},
		Print: map[string][]string{
			"stock.level":         {},
			"stock.alert":         {"kind", "location", "pool", "here", "elsewhere", "places", "expected", "found", "staff"},
			"allocation.decided":  {"order", "attempt", "origin", "because", "cost.total", "lines.line", "lines.outcome", "lines.parts"},
			"allocation.failed":   {"order", "attempt", "because", "lines.line", "lines.outcome", "lines.reason"},
			"allocation.released": {"order", "attempt", "reason", "lines.line", "lines.parts"},
		}}
}

// rush places orders of one unit in turn from all classes of channels, each
// twice, and says what became of them all.
func rush(t *testing.T, story *operatortest.Story, d *datadriven.TestData, placed *int) string {
	var sku string
	var orders int
	d.ScanArgs(t, "sku", &sku)
	d.ScanArgs(t, "orders", &orders)
	counts, alerts := map[string]int{}, []string(nil)
	for range orders {
		*placed++
		o := &event.OrderPlaced{Order: fmt.Sprintf("H%d", *placed), Location: "WEB", Currency: "CNY",
			Channel: event.ChannelClasses[*placed%len(event.ChannelClasses)],
			Lines:   []event.Line{{Line: 1, SKU: sku, Quantity: 1, UnitPrice: 899_000_000}}}
		for range 2 {
			effects, err := story.Rig.Tell("order.placed", o, operatortest.Envelope{})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range effects.Records {
				switch e := r.Payload.Value.(type) {
				case *event.AllocationDecided:
					counts[r.Type]++
					for _, p := range e.Lines[0].Parts {
						counts[r.Type+" from "+p.Location] += int(p.Quantity)
					}
				case *event.StockAlert:
					alerts = append(alerts, fmt.Sprintf("%s %s %s/%s: here %d, elsewhere %d at %d places\n",
						r.Type, e.Kind, e.Location, e.Pool, e.Here, e.Elsewhere, len(e.Places)))
				}
			}
		}
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&out, "%s: %d\n", name, counts[name])
	}
	slices.Sort(alerts)
	return out.String() + strings.Join(alerts, "")
}
