package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/topology/retail"
)

const shoe = "SHOE-42"

// endlessAisle: not in this store, but in the flagship, and the guide sells it
// all the same; then the flagship can't find it.
func (s *telling) endlessAisle() {
	s.t.Helper()
	if a, b := s.groupOf(shoe), s.groupOf("O1"); s.groups == 2 && a == b {
		s.t.Fatalf("%s and O1 are both of group %d: no lane between groups has a part", shoe, a)
	}
	decided := func(order string, n int) func() bool {
		return func() bool { return len(s.said[order]) >= n }
	}
	s.askForShoe()
	s.apart()
	first := s.write(retail.TopicSales, "order.placed", "O1", shoeOrder("O1", "own_store", "S1", "G7"))
	s.flush()
	s.until("O1 is decided", decided("O1", 1))
	s.write(retail.TopicSales, "order.placed", "O2", shoeOrder("O2", "own_online", "WEB", ""))
	s.write(retail.TopicSales, "order.placed", "O3", shoeOrder("O3", "marketplace", "WEB", ""))
	if err := s.again(s.t.Context(), retail.TopicSales, "O1", first); err != nil {
		s.t.Fatal(err)
	}
	s.strike(shoe, "endless aisle, orders", decided("O1", 1))
	s.flush()
	s.stock(shoe, "no more promised than there is", func(places map[string]stockLevel, _ []unmet) bool { return len(places) == 4 })
	s.until("O2 and O3 are decided", func() bool { return decided("O2", 1)() && decided("O3", 1)() })
	s.quiet()
	s.shoesAllocated()
	one := s.explained(s.said["O1"][0].ID)
	one.judge(s, map[string]candidate{
		"F":  {Alone: "4.200951", Shipping: "4.00", Distance: "0.000951", Handling: "0.20", Chosen: true},
		"S3": {Alone: "5.207255", Shipping: "5.00", Distance: "0.007255", Handling: "0.20", Why: "dearer by 1.006304"},
		"S1": {Why: "short"}, "WEB": {Why: "short"}})

	s.apart()
	s.write(retail.TopicStock, "stock.received", "R1", `"sku":"SHOE-42","location":"S3","pool":"store","quantity":1,"document":"R1"`)
	s.flush()
	s.until("S3 has received one", func() bool { return s.levels[shoe+"/S3"].ATP == 1 })
	s.write(retail.TopicSales, "order.rejected", "J1", `"order":"O1","location":"F","document":"J1"`)
	// In one group release and next decision are one: the kill is before both.
	s.strike("O1", "endless aisle, rejection", func() bool { return s.groups == 1 || decided("O1", 2)() })
	s.flush()
	s.until("O1 is decided again", decided("O1", 3))
	s.quiet()
	s.shoeFoundElsewhere()
}

func shoeOrder(id, channel, location, staff string) string {
	home := ""
	if staff != "" {
		home = `"destination":{"lat":31.24,"lon":121.47},`
	}
	return fmt.Sprintf(`"order":%q,"channel":%q,"location":%q,"staff":%q,"currency":"CNY",%s"lines":[{"line":1,"sku":"SHOE-42","quantity":1,"unit_price":"899.00"}]`,
		id, channel, location, staff, home)
}

// askForShoe has the guide ask three times for the same customer: one alert.
func (s *telling) askForShoe() {
	for i := range 3 {
		s.write(retail.TopicInteractions, "stock.asked", fmt.Sprint("ask-", i),
			`"sku":"SHOE-42","location":"S1","staff":"G7","customer":[{"type":"loyalty","value":"W"}]`)
	}
	s.flush()
	s.until("an alert", func() bool { return len(s.alertsOf(shoe)) > 0 })
	a := s.alertsOf(shoe)[0]
	if a.Kind != "out_of_stock" || a.Location != "S1" || a.Here != 0 || a.Elsewhere != 2 || a.Staff != "G7" || len(a.Places) != 2 ||
		a.Places[0].Location != "F" || a.Places[0].ATP != 1 || a.Places[1].Location != "S3" || a.Places[1].ATP != 1 {
		s.t.Errorf("alert = %+v; want here 0, F 1, S3 1, asked by G7", a)
	}
	s.stock(shoe, "one unmet wish at S1", func(_ map[string]stockLevel, list []unmet) bool {
		return len(list) == 1 && list[0] == unmet{Location: "S1", Customers: 1, Units: 1}
	})
}

// shoesAllocated wants O1 from the flagship, one of O2 and O3 from S3, and
// nothing for the resent O1.
func (s *telling) shoesAllocated() {
	o1, o2, o3 := s.said["O1"], s.said["O2"], s.said["O3"]
	if len(o1) != 1 || len(o2) != 1 || len(o3) != 1 {
		s.t.Fatalf("O1 has %d records, O2 %d, O3 %d; want one each", len(o1), len(o2), len(o3))
	}
	if got := source(&o1[0]); got != "F" {
		s.t.Errorf("O1 is from %q; want F", got)
	}
	won, lost := &o2[0], &o3[0]
	if won.Type != "allocation.decided" {
		won, lost = lost, won
	}
	if won.Type != "allocation.decided" || source(won) != "S3" || lost.Type != "allocation.failed" {
		s.t.Errorf("O2 = %s from %q, O3 = %s from %q; want one from S3, the other failed", o2[0].Type, source(&o2[0]), o3[0].Type, source(&o3[0]))
	}
	if n := len(s.alertsOf(shoe)); n != 1 {
		s.t.Errorf("alerts = %d; want one", n)
	}
	s.stock(shoe, "nothing left but no more promised", func(places map[string]stockLevel, list []unmet) bool {
		return places["F"].Reserved == 1 && places["S3"].Reserved == 1 && len(list) == 1 && list[0].Customers == 1
	})
}

// shoeFoundElsewhere wants attempt 2 of O1 from S3, and the flagship to be
// believed less.
func (s *telling) shoeFoundElsewhere() {
	list := s.said["O1"]
	if len(list) != 3 || list[1].Type != "allocation.released" || list[1].Attempt != 1 || list[1].Reason != "rejected" ||
		list[2].Type != "allocation.decided" || list[2].Attempt != 2 || source(&list[2]) != "S3" {
		s.t.Fatalf("O1 = %+v; want decided, released (rejected), decided from S3", list)
	}
	if len(s.said["O2"]) != 1 || len(s.said["O3"]) != 1 {
		s.t.Errorf("O2 has %d records, O3 %d; want one each as before", len(s.said["O2"]), len(s.said["O3"]))
	}
	alerts := s.alertsOf(shoe)
	if len(alerts) != 2 || alerts[1].Kind != "discrepancy" || alerts[1].Location != "F" || alerts[1].Expected != 1 || alerts[1].Found != 0 {
		s.t.Errorf("alerts = %+v; want one discrepancy at F more", alerts)
	}
	s.stock(shoe, "F believed less, S3 with two reserved", func(places map[string]stockLevel, list []unmet) bool {
		f, s3 := places["F"], places["S3"]
		return f.Confidence == "0.75" && f.Acceptance == "0.904761" && f.Reserved == 0 && s3.OnHand == 2 && s3.Reserved == 2 && s3.ATP == 0 && len(list) == 1
	})
	s.explained(list[2].ID).judge(s, map[string]candidate{
		"S3": {Alone: "5.207255", Shipping: "5.00", Distance: "0.007255", Handling: "0.20", Chosen: true},
		"F":  {Why: "rejected"}, "S1": {Why: "short"}, "WEB": {Why: "short"}})
}

// source is where an order of one line and one place is from.
func source(d *decided) string {
	if len(d.Lines) != 1 || len(d.Lines[0].Parts) != 1 {
		return ""
	}
	return d.Lines[0].Parts[0].Location
}

// explanation is a decision as the API explains it.
type explanation struct {
	Order    string
	Decision struct {
		Attempt int64
		Origin  struct{ Channel, Location, Staff string }
		Places  []candidate
	}
	Lines []struct {
		Candidates []struct {
			Location, Why, Confidence string
			Taken                     int64
		}
	}
}

// candidate is a place with its cost terms, and why it was not chosen.
type candidate struct {
	Location, Shipping, Distance, Handling, Alone, Why string
	Chosen                                             bool
}

// explained asks every node for a decision, by command and by HTTP, and wants
// the same of all.
func (s *telling) explained(id string) (e *explanation) {
	s.t.Helper()
	var text []byte
	for i, n := range s.nodes {
		var body json.RawMessage
		process.Until(s.t, process.Patience, fmt.Sprintf("n%d: decision %s", i+1, id), func() bool { return n.Get("/v1/decisions/"+id, &body) == nil })
		if text == nil {
			text = body
		}
		if string(body) != string(text) {
			s.t.Errorf("decision %s: n%d says %s, n1 %s", id, i+1, body, text)
		}
	}
	code, out := s.nodes[0].Client("get", "decision", id, "-o", "json")
	var printed *explanation
	if err := errors.Join(json.Unmarshal(text, &e), json.Unmarshal([]byte(out), &printed)); err != nil || code != 0 {
		s.t.Fatalf("get decision %s = %d: %v\n%s", id, code, err, out)
	}
	if !reflect.DeepEqual(e, printed) {
		s.t.Errorf("decision %s: the command says %s, the API %s", id, out, text)
	}
	return e
}

// judge wants the guide's order with these candidates; fields that are empty
// are not compared.
func (e *explanation) judge(s *telling, want map[string]candidate) {
	s.t.Helper()
	if o := e.Decision.Origin; e.Order != "O1" || o.Channel != "own_store" || o.Location != "S1" || o.Staff != "G7" {
		s.t.Errorf("decision of %s has origin %+v; want O1 by G7 at S1", e.Order, o)
	}
	if len(e.Decision.Places) != len(want) || len(e.Lines) != 1 || len(e.Lines[0].Candidates) != len(want) {
		s.t.Fatalf("decision = %+v; want one line and %d candidates", e, len(want))
	}
	for _, p := range e.Decision.Places {
		w := want[p.Location]
		same := p.Chosen == w.Chosen && p.Why == w.Why
		for _, term := range [][2]string{{w.Alone, p.Alone}, {w.Shipping, p.Shipping}, {w.Distance, p.Distance}, {w.Handling, p.Handling}} {
			same = same && (term[0] == "" || term[0] == term[1])
		}
		if !same {
			s.t.Errorf("attempt %d, candidate %+v; want %+v", e.Decision.Attempt, p, w)
		}
		if !slices.ContainsFunc(e.Lines[0].Candidates, func(c struct {
			Location, Why, Confidence string
			Taken                     int64
		}) bool {
			return c.Location == p.Location && (c.Taken == 1) == w.Chosen && (w.Chosen || c.Why != "")
		}) {
			s.t.Errorf("attempt %d: line 1 says of %s: %+v; want %+v", e.Decision.Attempt, p.Location, e.Lines[0].Candidates, w)
		}
	}
}
