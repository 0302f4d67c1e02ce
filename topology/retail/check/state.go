package check

import (
	"errors"
	"slices"

	"anabranch.dev/operators/allocation"
	"anabranch.dev/operators/capacity"
	"anabranch.dev/operators/hold"
	"anabranch.dev/operators/inventory"
	"anabranch.dev/state"
	"anabranch.dev/topology"
	"anabranch.dev/topology/retail"
)

// State checks the stages over the views of a whole cluster. quiet says that
// nothing is under way: all lanes are empty and no saga waits for an answer.
// Only then orders and SKUs must agree.
func State(plan *topology.Plan, views []View, quiet bool) (Violations, error) {
	var vs Violations
	held := map[reservation]int64{}
	stock := &stage{plan: plan.Stage(retail.StageInventory), views: views}
	days := &stage{plan: plan.Stage(retail.StageCapacity), views: views}
	orders := &stage{plan: plan.Stage(retail.StageAllocation), views: views}
	if stock.plan == nil || days.plan == nil || orders.plan == nil {
		return nil, errors.New("the plan is not the retail plan: a stage is missing")
	}
	if err := stock.keys(func(c *cell) error { return checkSKU(c, &vs, held, quiet) }); err != nil {
		return nil, err
	}
	if err := days.keys(func(c *cell) error { return checkDay(c, &vs, held, quiet) }); err != nil {
		return nil, err
	}
	if err := stock.keys(func(c *cell) error { return checkUnmet(c, &vs) }); err != nil {
		return nil, err
	}
	if err := orders.keys(func(c *cell) error { return checkOrder(c, &vs, held, quiet) }); err != nil {
		return nil, err
	}
	if quiet {
		reportDifferences(&vs, held)
	}
	return vs, nil
}

// reservation is what an order's line has at one place of an SKU, or with line 0
// a parcel of a location's day.
type reservation struct {
	order, sku, location, pool string
	attempt, line              int64
}

// checkSKU checks one ledger and its claims, and adds decided claims to held.
func checkSKU(c *cell, vs *Violations, held map[reservation]int64, quiet bool) error {
	sku := c.id.Key
	reserved, undecided := map[hold.Place]int64{}, map[hold.Place]int64{}
	err := each(c, "claims", func(_ string, claim *hold.Claim) {
		for _, p := range claim.Parts {
			at := hold.Place{Location: p.Location, Pool: p.Pool}
			switch claim.State {
			case hold.Decided:
				reserved[at] += p.Quantity
				held[reservation{claim.Order, sku, p.Location, p.Pool, claim.Attempt, p.Line}] += p.Quantity
			case hold.Granted:
				reserved[at] += p.Quantity
				undecided[at] += p.Quantity
			}
		}
		if quiet && claim.State != hold.Decided {
			vs.addf(CodeUndecided, sku, "claim of order %s attempt %d is %s", claim.Order, claim.Attempt, claim.State)
		}
	})
	if err != nil {
		return err
	}
	var onHand, inTransit int64
	err = each(c, "shelves", func(_ string, s *inventory.Shelf) {
		at := hold.Place{Location: s.Location, Pool: s.Pool}
		onHand += s.OnHand
		inTransit += s.InTransit
		if s.OnHand < 0 || s.Withheld < 0 || s.InTransit < 0 {
			vs.addf(CodeLedger, sku, "%s/%s: on hand %d, withheld %d, in transit %d", s.Location, s.Pool, s.OnHand, s.Withheld, s.InTransit)
		}
		if s.Marks.Reserved != reserved[at] || s.Marks.Undecided != undecided[at] {
			vs.addf(CodeMarks, sku, "%s/%s: %d reserved of which %d undecided; claims hold %d and %d",
				s.Location, s.Pool, s.Marks.Reserved, s.Marks.Undecided, reserved[at], undecided[at])
		}
		if decided := s.Marks.Reserved - s.Marks.Undecided; decided > s.OnHand {
			vs.addf(CodeOversell, sku, "%s/%s: %d reserved for decided orders, %d on hand", s.Location, s.Pool, decided, s.OnHand)
		}
	})
	if err != nil {
		return err
	}
	return each(c, "accounts", func(_ string, a *inventory.Accounts) {
		if sum := a.Sum(); sum != 0 {
			vs.addf(CodeLedger, sku, "accounts sum to %d", sum)
		}
		if a.OnHand != onHand || a.InTransit != inTransit {
			vs.addf(CodeLedger, sku, "accounts say %d on hand and %d in transit, shelves %d and %d",
				a.OnHand, a.InTransit, onHand, inTransit)
		}
	})
}

// checkDay checks the parcels of one location's day.
func checkDay(c *cell, vs *Violations, held map[reservation]int64, quiet bool) error {
	day := c.id.Key
	var reserved, undecided int64
	err := each(c, "claims", func(_ string, claim *hold.Claim) {
		for _, p := range claim.Parts {
			switch claim.State {
			case hold.Decided:
				reserved += p.Quantity
				held[reservation{order: claim.Order, sku: day, attempt: claim.Attempt}] += p.Quantity
			case hold.Granted:
				reserved += p.Quantity
				undecided += p.Quantity
			}
		}
		if quiet && claim.State != hold.Decided {
			vs.addf(CodeUndecided, day, "claim of order %s attempt %d is %s", claim.Order, claim.Attempt, claim.State)
		}
	})
	if err != nil {
		return err
	}
	return each(c, "days", func(_ string, d *capacity.Day) {
		if d.Marks.Reserved != reserved || d.Marks.Undecided != undecided {
			vs.addf(CodeMarks, day, "%d reserved of which %d undecided; claims hold %d and %d",
				d.Marks.Reserved, d.Marks.Undecided, reserved, undecided)
		}
	})
}

// checkOrder checks one order's lines, and takes what it has reserved out of
// held.
func checkOrder(c *cell, vs *Violations, held map[reservation]int64, quiet bool) error {
	order := c.id.Key
	var head *allocation.Head
	if err := each(c, "heads", func(_ string, h *allocation.Head) { head = h }); err != nil {
		return err
	}
	if head == nil {
		return nil // a return without order, or a tombstone
	}
	var reserved, lines int64
	line := func(_ string, l *allocation.Line) {
		lines++
		reserved += l.Reserved()
		checkLine(vs, order, head, l)
		for _, p := range l.Parts {
			held[reservation{order, l.SKU, p.Location, p.Pool, p.Attempt, l.Line}] -= p.Quantity
		}
	}
	if head.Small != nil {
		for i := range head.Small.Lines {
			line("", &head.Small.Lines[i])
		}
	}
	err := each(c, "lines", line)
	if err != nil {
		return err
	}
	err = each(c, "parcels", func(row string, p *allocation.Parcel) {
		if p.Capacity != "" && p.Reserved > 0 && !p.Shipped {
			held[reservation{order: order, sku: p.Capacity, attempt: p.Attempt}]--
		}
		if p.Reserved < 0 {
			vs.addf(CodeAccounting, order, "parcel %s: %d units reserved", row, p.Reserved)
		}
	})
	if err != nil {
		return err
	}
	if head.Lines != lines || head.Reserved != reserved {
		vs.addf(CodeAccounting, order, "head says %d lines and %d reserved, lines say %d and %d", head.Lines, head.Reserved, lines, reserved)
	}
	if !quiet {
		return nil
	}
	if head.State != allocation.Decided {
		vs.addf(CodeUndecided, order, "is %s in attempt %d round %d, %d answers out", head.State, head.Attempt, head.Round, head.Pending)
	}
	if s := head.Small; s != nil && len(s.Demands)+len(s.Resources)+len(s.Plan) > 0 && head.State == allocation.Decided {
		vs.addf(CodeAccounting, order, "is decided and still has %d demands and %d resources", len(s.Demands), len(s.Resources))
	}
	for _, table := range []string{"demands", "resources", "plans"} {
		rows := 0
		err := c.reader.Scan(c.id, c.stage.table(table), "", "", func(string, state.Visitable) bool { rows++; return true })
		if err != nil {
			return err
		}
		if rows > 0 && head.State == allocation.Decided {
			vs.addf(CodeAccounting, order, "is decided and has %d rows of %s left", rows, table)
		}
	}
	return nil
}

// checkLine checks that every unit of a line is somewhere, once.
func checkLine(vs *Violations, order string, head *allocation.Head, l *allocation.Line) {
	if l.Accounted() != l.Quantity {
		vs.addf(CodeAccounting, order, "line %d: %d ordered, %d accounted for", l.Line, l.Quantity, l.Accounted())
	}
	for _, n := range []int64{l.Waiting, l.Backordered, l.Failed, l.Cancelled, l.Expired, l.Shipped, l.Returned} {
		if n < 0 {
			vs.addf(CodeAccounting, order, "line %d: a quantity is below zero", l.Line)
		}
	}
	if l.Returned > l.Shipped {
		vs.addf(CodeAccounting, order, "line %d: %d returned of %d shipped", l.Line, l.Returned, l.Shipped)
	}
	if l.Waiting > 0 && head.State == allocation.Decided {
		vs.addf(CodeAccounting, order, "line %d: %d units wait for no attempt", l.Line, l.Waiting)
	}
}

// reportDifferences reports reservations that only one side knows, in order.
func reportDifferences(vs *Violations, held map[reservation]int64) {
	var differ []reservation
	for r, n := range held {
		if n != 0 {
			differ = append(differ, r)
		}
	}
	slices.SortFunc(differ, func(a, b reservation) int {
		return slices.Compare([]string{a.order, a.sku, a.location, a.pool}, []string{b.order, b.sku, b.location, b.pool})
	})
	for _, r := range differ {
		vs.addf(CodeReservation, r.order, "attempt %d line %d: %s holds %d more at %s/%s than the order knows",
			r.attempt, r.line, r.sku, held[r], r.location, r.pool)
	}
}
