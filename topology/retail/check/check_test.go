package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"anabranch.dev/operators"
	"anabranch.dev/operators/allocation"
	"anabranch.dev/operators/capacity"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/hold"
	"anabranch.dev/operators/inventory"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
	"anabranch.dev/topology"
	"anabranch.dev/topology/retail"
	"anabranch.dev/topology/retail/check"
)

func decided(number uint64, attempt int64, lines ...event.DecidedLine) *operators.Record {
	r := &operators.Record{Topic: retail.TopicAllocations, Type: "allocation.failed", Key: "O1", Number: number, ID: fmt.Sprint("d-", number)}
	for _, l := range lines {
		if l.Outcome != event.Failed {
			r.Type = "allocation.decided"
		}
	}
	r.Payload.Value = &event.AllocationDecided{Order: "O1", Attempt: attempt, Lines: lines}
	return r
}

func released(number uint64, attempt, quantity int64) *operators.Record {
	return &operators.Record{Topic: retail.TopicAllocations, Type: "allocation.released", Key: "O1", Number: number,
		ID: fmt.Sprint("d-", number), Payload: state.Nested{Value: &event.AllocationReleased{Order: "O1", Attempt: attempt,
			Lines: []event.ReleasedLine{{Line: 1, SKU: "A", Parts: []event.Part{{Location: "p", Quantity: quantity}}}}}}}
}

func line(quantity, allocated int64) event.DecidedLine {
	l := event.DecidedLine{Line: 1, SKU: "A", Quantity: quantity, Outcome: event.Failed, Reason: "short"}
	if allocated > 0 {
		l.Outcome, l.Parts = event.Allocated, []event.Part{{Location: "p", Quantity: allocated}}
	}
	return l
}

func TestOutput(t *testing.T) {
	wrongCost := decided(1, 1, line(1, 1))
	wrongCost.Payload.Value.(*event.AllocationDecided).Cost.Total = 1
	failedButServed := decided(1, 1, line(1, 1))
	failedButServed.Type = "allocation.failed"
	silent := line(2, 1)
	silent.Reason = ""
	tests := []struct {
		name    string
		records []*operators.Record
		want    string
	}{
		{"good", []*operators.Record{decided(1, 1, line(2, 2)), released(2, 1, 2), decided(3, 2, line(2, 1)), released(4, 2, 1)}, ""},
		{"failed", []*operators.Record{decided(1, 1, line(2, 0))}, ""},
		{"conflated records have no number", []*operators.Record{{Topic: retail.TopicStockLevels, Key: "A"}, {Topic: retail.TopicStockLevels, Key: "A"}}, ""},
		{"gap", []*operators.Record{decided(1, 1, line(2, 2)), released(3, 1, 2)}, check.CodeNumber},
		{"first number missing", []*operators.Record{decided(2, 1, line(2, 2))}, check.CodeNumber},
		{"twice", []*operators.Record{decided(1, 1, line(2, 2)), decided(1, 1, line(2, 2))}, check.CodeDoubled},
		{"attempt skipped", []*operators.Record{decided(1, 2, line(2, 2))}, check.CodeAttempt + " " + check.CodeOver},
		{"attempt repeated", []*operators.Record{decided(1, 1, line(2, 0)), decided(2, 1, line(2, 0))}, check.CodeAttempt},
		{"more than asked", []*operators.Record{decided(1, 1, line(2, 3))}, check.CodeOver},
		{"more than ordered over attempts", []*operators.Record{decided(1, 1, line(2, 2)), decided(2, 2, line(1, 1))}, check.CodeOver},
		{"released too much", []*operators.Record{decided(1, 1, line(2, 2)), released(2, 1, 3)}, check.CodeRelease},
		{"released of another attempt", []*operators.Record{decided(1, 1, line(2, 2)), released(2, 2, 1)}, check.CodeRelease},
		{"cost", []*operators.Record{wrongCost}, check.CodeShape},
		{"failed but served", []*operators.Record{failedButServed}, check.CodeShape},
		{"short without a reason", []*operators.Record{decided(1, 1, silent)}, check.CodeShape},
		{"unreadable", []*operators.Record{{Topic: retail.TopicAllocations, Type: "allocation.decided", Key: "O1", Number: 1, ID: "d"}}, check.CodeUnreadable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := check.NewOutput()
			for _, r := range tt.records {
				out.Add(r)
			}
			wantCodes(t, out.Violations(), tt.want)
		})
	}
}

func wantCodes(t *testing.T, vs check.Violations, want string) {
	t.Helper()
	var codes []string
	for _, v := range vs {
		if !slices.Contains(codes, v.Code) {
			codes = append(codes, v.Code)
		}
	}
	slices.Sort(codes)
	wanted := strings.Fields(want)
	slices.Sort(wanted)
	if !slices.Equal(codes, wanted) {
		t.Errorf("violations %v; want codes %v", vs, wanted)
	}
}

// shop is a small state made by hand: one SKU, one order, one day, in agreement.
type shop struct {
	plan    *topology.Plan
	shelf   inventory.Shelf
	account inventory.Accounts
	claim   hold.Claim
	head    allocation.Head
	line    allocation.Line
	parcel  allocation.Parcel
	day     capacity.Day
	dayHold hold.Claim
}

func newShop(t *testing.T) *shop {
	t.Helper()
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	part := event.HoldPart{Line: 1, Location: "p", Pool: "store", Quantity: 2}
	return &shop{
		plan:    plan,
		shelf:   inventory.Shelf{Location: "p", Pool: "store", OnHand: 3, Marks: hold.Marks{Reserved: 2}},
		account: inventory.Accounts{Supplier: -3, OnHand: 3},
		claim:   hold.Claim{Order: "O1", Attempt: 1, Round: 1, State: hold.Decided, Parts: []event.HoldPart{part}},
		head:    allocation.Head{State: allocation.Decided, Lines: 1, Attempt: 1, Reserved: 2},
		line: allocation.Line{Line: 1, SKU: "A", Quantity: 3, Failed: 1,
			Parts: []allocation.ReservedPart{{Attempt: 1, Round: 1, Location: "p", Pool: "store", Quantity: 2}}},
		parcel:  allocation.Parcel{Attempt: 1, Capacity: "p/2026-06-01", Round: 1, Reserved: 2},
		day:     capacity.Day{Marks: hold.Marks{Reserved: 1}},
		dayHold: hold.Claim{Order: "O1", Attempt: 1, Round: 1, State: hold.Decided, Parts: []event.HoldPart{{Location: "p", Quantity: 1}}},
	}
}

func (s *shop) check(t *testing.T, quiet bool) check.Violations {
	t.Helper()
	store := memstate.New(s.plan.Tables(), codec.New())
	set := func(stage, key, table, row string, v state.Visitable) {
		for _, tab := range s.plan.Stage(stage).Decl.Tables {
			if tab.Name == table {
				store.Cell(state.CellID{Stage: s.plan.Stage(stage).ID, Key: key}).Set(tab, row, v, 0)
				return
			}
		}
		t.Fatalf("no table %s of %s", table, stage)
	}
	set(retail.StageInventory, "A", "shelves", "p", &s.shelf)
	set(retail.StageInventory, "A", "accounts", "", &s.account)
	set(retail.StageInventory, "A", "claims", "O1", &s.claim)
	set(retail.StageCapacity, "p/2026-06-01", "days", "", &s.day)
	set(retail.StageCapacity, "p/2026-06-01", "claims", "O1", &s.dayHold)
	set(retail.StageAllocation, "O1", "heads", "head", &s.head)
	set(retail.StageAllocation, "O1", "lines", "1", &s.line)
	set(retail.StageAllocation, "O1", "parcels", "1", &s.parcel)
	store.Commit(1)
	vs, err := check.State(s.plan, []check.View{{Reader: store.View(), Shards: []state.Shard{0}}}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return vs
}

func TestState(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *shop)
		busy   bool
		want   string
	}{
		{name: "good", change: func(*shop) {}},
		{name: "oversold", change: func(s *shop) { s.shelf.OnHand, s.account = 1, inventory.Accounts{Supplier: -1, OnHand: 1} }, want: check.CodeOversell},
		{name: "ledger out of balance", change: func(s *shop) { s.account.Supplier = -4 }, want: check.CodeLedger},
		{name: "shelves differ from the account", change: func(s *shop) { s.account = inventory.Accounts{Supplier: -5, OnHand: 5} }, want: check.CodeLedger},
		{name: "marks differ from claims", change: func(s *shop) { s.shelf.Marks.Reserved = 3 }, want: check.CodeMarks},
		{name: "a unit of a line lost", change: func(s *shop) { s.line.Failed = 0 }, want: check.CodeAccounting},
		{name: "a line of the order lost", change: func(s *shop) { s.head.Lines = 2 }, want: check.CodeAccounting},
		{name: "negative", change: func(s *shop) { s.line.Failed, s.line.Cancelled = -1, 2 }, want: check.CodeAccounting},
		{name: "returned more than shipped", change: func(s *shop) { s.line.Returned = 1 }, want: check.CodeAccounting},
		{name: "waits for nothing", change: func(s *shop) { s.line.Waiting, s.line.Failed = 1, 0 }, want: check.CodeAccounting},
		{name: "only the SKU knows", change: func(s *shop) { s.line.Parts, s.line.Failed, s.head.Reserved = nil, 3, 0 }, want: check.CodeReservation},
		{name: "in flight", busy: true, change: func(s *shop) { s.line.Parts, s.line.Failed, s.head.Reserved = nil, 3, 0 }},
		{name: "another pool", change: func(s *shop) { s.line.Parts[0].Pool = "web" }, want: check.CodeReservation},
		{name: "undecided claim", change: func(s *shop) { s.claim.State, s.shelf.Marks.Undecided = hold.Granted, 2 },
			want: check.CodeUndecided + " " + check.CodeReservation},
		{name: "undecided order", change: func(s *shop) { s.head.State = allocation.Holding }, want: check.CodeUndecided},
		{name: "parcel without capacity", change: func(s *shop) { s.parcel.Capacity = "" }, want: check.CodeReservation},
		{name: "day's marks", change: func(s *shop) { s.day.Marks.Reserved = 2 }, want: check.CodeMarks},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newShop(t)
			tt.change(s)
			wantCodes(t, s.check(t, !tt.busy), tt.want)
		})
	}
}

func TestInputsAndSums(t *testing.T) {
	wantCodes(t, check.Inputs([]check.Position{{Partition: "sales/0", Events: 6, Applied: 3, Duplicates: 2, DeadLetters: 1}}), "")
	wantCodes(t, check.Inputs([]check.Position{{Partition: "sales/0", Events: 6, Applied: 3, Duplicates: 2}}), check.CodeInputs)
	wantCodes(t, check.Sum("GBP", 5, check.Amount{What: "applied", Amount: 3}, check.Amount{What: "dead-lettered", Amount: 2}), "")
	wantCodes(t, check.Sum("GBP", 5, check.Amount{What: "applied", Amount: 3}), check.CodeTotals)
}
