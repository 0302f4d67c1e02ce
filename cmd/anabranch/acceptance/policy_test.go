package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
)

// A policy published in the middle of a replay shapes the decisions that come
// after it, and they name it; the others do not.
func TestPolicyInTheMiddle(t *testing.T) {
	const orders, before = 400, 100
	dir := t.TempDir()
	events := filepath.Join(dir, "events.jsonl")
	if err := os.WriteFile(events, []byte(orderStory(orders)), 0o600); err != nil {
		t.Fatal(err)
	}
	rules := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(rules, []byte(dearerParcels), 0o600); err != nil {
		t.Fatal(err)
	}
	d := process.StartDev(t, "--clock", "replay", "--no-sample", "--quiet")
	replay := process.Start(t, "replay", "events", events, "--rate", "200", "--kafka", d.Kafka, "--addr", d.HTTP)
	log := newDecisions(t)
	topic := log.tail(d.Kafka)
	topic.until("decisions under the first policy", replay.Done(), func() bool { return len(log.list) >= before })
	if code, out := d.Client("policy", "publish", "-f", rules); code != 0 {
		t.Fatalf("policy publish = %d: %s", code, out)
	}
	if code := replay.EndWithin(long); code != 0 {
		t.Fatalf("replay = %d: %s", code, replay.Output())
	}
	topic.toEnd()
	log.good()
	if n := log.out.Orders(); n != orders {
		t.Fatalf("orders decided = %d; want %d", n, orders)
	}
	versions := map[int64]int{}
	for i, e := range log.list {
		if e.Type == "allocation.released" { // when a reservation has run out
			continue
		}
		versions[e.Policy.Version]++
		switch {
		case e.Policy.Name != "allocation":
			t.Fatalf("decision %s names policy %q", e.ID, e.Policy.Name)
		case i < before && e.Policy.Version != 0:
			t.Fatalf("decision %d, before the policy, names version %d", i, e.Policy.Version)
		}
	}
	t.Logf("decisions by policy version: %v", versions)
	if versions[0] < before || versions[1] == 0 || versions[0]+versions[1] != orders {
		t.Errorf("decisions by policy version = %v; want both 0 and 1, %d in all", versions, orders)
	}
	// Orders come in order of time, so the first that names the new version
	// parts the others.
	at, after := map[string]int64{}, "o-9999"
	for _, e := range log.list {
		if e.Type == "allocation.released" {
			continue
		}
		at[e.Order] = e.Policy.Version
		if e.Policy.Version == 1 {
			after = min(after, e.Order)
		}
	}
	for order, version := range at {
		if (order >= after) != (version == 1) {
			t.Fatalf("order %s names version %d; the first of version 1 is %s", order, version, after)
		}
	}
}

const dearerParcels = `name: allocation
author: acceptance
comment: dearer parcels
allocation:
  split_per_parcel: "9.50"
  return_days: 30
  returns_to: on_hand
  partial_orders: true
  order_timeout_us: 1000000
  reservation_ttl_us: 31536000000000
`

// orderStory is a shop with much stock and an order an hour, as JSON lines: marks
// come daily, and decisions with them.
func orderStory(orders int) string {
	begin := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	var b strings.Builder
	line := func(at time.Time, kind, id, fields string) {
		fmt.Fprintf(&b, `{"id":%q,"source":"story","type":%q,"time":%q,%s}`+"\n", id, kind, at.Format(time.RFC3339), fields)
	}
	line(begin, "location", "location-shop", `"location":"shop","kind":"store","channel":"own_store","lat":31.2,"lon":121.5,"pools":["store"]`)
	line(begin, "product", "product-A", `"sku":"A","currency":"CNY","price":"10.00"`)
	line(begin, "stock.counted", "count-A", `"sku":"A","location":"shop","pool":"store","quantity":100000`)
	for i := range orders {
		id := fmt.Sprintf("o-%04d", i)
		line(begin.Add(time.Duration(i+1)*time.Hour), "order.placed", id, `"order":"`+id+`","channel":"own_online","location":"web","currency":"CNY",`+
			`"lines":[{"line":1,"sku":"A","quantity":1,"unit_price":"10.00"}]`)
	}
	return b.String()
}
