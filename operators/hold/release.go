package hold

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

// Release gives a hold, or parts of it, back and returns what it gave back of
// reserved units, and whether they were decided. Without parts the whole claim
// ends, queued or granted. What is not held (any more) is ignored, so that a
// repeat changes nothing.
func (b *Book) Release(c operators.Context, r Resource, e *event.HoldReleased) (given []event.HoldPart, decided bool) {
	claim, open := b.claims.Get(c, claimKey(e.Order, e.Attempt))
	if !open || claim.Round != e.Round {
		return nil, false
	}
	if claim.State == Queued {
		b.end(c, r, &claim)
		return nil, false
	}
	decided = claim.State == Decided
	if len(e.Parts) > 0 {
		return b.take(c, r, &claim, e.Parts), decided
	}
	b.end(c, r, &claim)
	return claim.Parts, decided
}

// Settle ends reservations whose goods have left and returns, for each part,
// how many of its units were reserved. It takes what an attempt holds whatever
// its state, for goods that have left need no hold.
func (b *Book) Settle(c operators.Context, r Resource, order string, attempt int64, parts []event.HoldPart) []event.HoldPart {
	claim, open := b.claims.Get(c, claimKey(order, attempt))
	if !open || claim.State == Queued {
		return nil
	}
	return b.take(c, r, &claim, parts)
}

// Reclaim takes units at a place back from the newest decided holds there and
// calls fn with each claim and the parts it lost, last line first. At most
// budget claims are touched; it returns what is left of the budget, and how
// many units it could not take: decided holds did not suffice, or the budget.
func (b *Book) Reclaim(c operators.Context, r Resource, at Place, units int64, budget int, fn func(claim *Claim, lost []event.HoldPart)) (int, int64) {
	for units > 0 && budget > 0 {
		key := ""
		b.decided.Scan(c, at.Key(), func(_ string, p *Pointer) bool {
			key = p.Claim
			return false
		})
		if key == "" {
			return budget, units
		}
		claim, open := b.claims.Get(c, key)
		if !open || claim.State != Decided {
			panic("hold: the index names a claim that is not decided")
		}
		var want []event.HoldPart
		for i := len(claim.Parts) - 1; i >= 0 && units > 0; i-- {
			p := claim.Parts[i]
			if (Place{p.Location, p.Pool}) == at && p.Quantity > 0 {
				p.Quantity = min(p.Quantity, units)
				units -= p.Quantity
				want = append(want, p)
			}
		}
		before := claim
		fn(&before, b.take(c, r, &claim, want))
		budget--
	}
	return budget, units
}

// take removes parts from a granted or decided claim, never more than it
// holds, and returns what it removed. A claim without parts ends.
func (b *Book) take(c operators.Context, r Resource, claim *Claim, parts []event.HoldPart) []event.HoldPart {
	left := append([]event.HoldPart(nil), claim.Parts...)
	var taken []event.HoldPart
	for _, p := range parts {
		want := p.Quantity
		for i := range left {
			l := &left[i]
			if want <= 0 {
				break
			}
			if l.Line != p.Line || l.Location != p.Location || l.Pool != p.Pool || l.Quantity == 0 {
				continue
			}
			units := min(want, l.Quantity)
			l.Quantity -= units
			want -= units
			b.unmark(r, claim, Place{p.Location, p.Pool}, units)
			taken = append(taken, event.HoldPart{Line: p.Line, Location: p.Location, Pool: p.Pool, Quantity: units})
		}
	}
	b.keep(c, claim, left)
	return taken
}

// keep stores what is left of a claim.
func (b *Book) keep(c operators.Context, claim *Claim, left []event.HoldPart) {
	before := sumParts(nil, claim.Parts)
	rest := make([]event.HoldPart, 0, len(left))
	for _, p := range left {
		if p.Quantity > 0 {
			rest = append(rest, p)
		}
	}
	claim.Parts = rest
	after := sumParts(nil, rest)
	if claim.State == Decided {
		for _, s := range before {
			if !sumsHave(after, s.at) {
				b.decided.Delete(c, decidedKey(s.at, claim.Number))
			}
		}
	}
	key := claimKey(claim.Order, claim.Attempt)
	if len(rest) > 0 {
		b.claims.Set(c, key, *claim)
		return
	}
	b.claims.Delete(c, key)
	b.closed.Set(c, closedKey(claim.Order, claim.Attempt, claim.Round), Closed{Reason: Released})
}

// end closes a whole claim, whatever its state.
func (b *Book) end(c operators.Context, r Resource, claim *Claim) {
	sums := sumParts(nil, claim.Parts)
	if claim.State == Queued {
		b.dequeue(c, r, claim, sums)
	}
	for _, s := range sums {
		if claim.State != Queued {
			b.unmark(r, claim, s.at, s.units)
		}
		if claim.State == Decided {
			b.decided.Delete(c, decidedKey(s.at, claim.Number))
		}
	}
	b.claims.Delete(c, claimKey(claim.Order, claim.Attempt))
	b.closed.Set(c, closedKey(claim.Order, claim.Attempt, claim.Round), Closed{Reason: Released})
}

func (b *Book) unmark(r Resource, claim *Claim, at Place, units int64) {
	m := r.Marks(at)
	m.Reserved -= units
	if claim.State == Granted {
		m.Undecided -= units
	}
}

func sumsHave(sums []sum, at Place) bool {
	for _, s := range sums {
		if s.at == at {
			return true
		}
	}
	return false
}
