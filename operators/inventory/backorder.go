package inventory

import (
	"strconv"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/hold"
	"anabranch.dev/state"
)

// Bounds of telling backorders of supply.
const (
	// MaxWoken is how many backorders one call tells.
	MaxWoken = 256
	// RetryBackorders is how long after an order has let go what it held while
	// looking, backorders are told of it.
	RetryBackorders = state.Minute
)

// backorderAsked lets an order line wait for supply, first come, first served,
// or withdraws it. One that was told of supply and comes back, because the
// supply did not suffice for it, keeps its turn and is not told of the same
// supply again.
func (o *Operator) backorderAsked(c operators.Context, e *event.BackorderAsked) error {
	if e.Quantity < 0 || e.Quantity > MaxQuantity {
		return quantityInvalid(e.Quantity)
	}
	key := hold.Key(e.Order, strconv.FormatInt(e.Line, 10))
	b, waits := o.waiting.Get(c, key)
	if e.Quantity == 0 {
		if waits {
			o.forget(c, key, b.Number)
		}
		return nil
	}
	if !waits {
		b = Backorder{Order: e.Order, Line: e.Line, Number: o.turn(c, key)}
		o.turns.Set(c, hold.Number(b.Number), Turn{Backorder: key})
	}
	b.Quantity = e.Quantity
	o.waiting.Set(c, key, b)
	o.supply.Set(c, "", c.LogTime()) // supply may have come while the order was deciding
	return nil
}

// turn is a backorder's earlier number, or the next one.
func (o *Operator) turn(c operators.Context, key string) uint64 {
	if w, woken := o.woken.Get(c, key); woken {
		return w.Number
	}
	q, _ := o.backlog.Get(c, "")
	q.Last++
	o.backlog.Set(c, "", q)
	return q.Last
}

func (o *Operator) forget(c operators.Context, key string, number uint64) {
	o.waiting.Delete(c, key)
	o.turns.Delete(c, hold.Number(number))
}

// serve tells backorders of supply that came in this call.
func (s *sheet) serve() {
	if s.o.waiting.Count(s.c) == 0 {
		return
	}
	more := false
	for _, sh := range s.shelves {
		more = more || s.rules.atp(&sh.row) > sh.atp
	}
	if !more {
		return
	}
	q, _ := s.o.backlog.Get(s.c, "")
	if s.replan {
		if q.Retry <= s.c.LogTime() {
			q.Retry = s.c.LogTime() + RetryBackorders
			s.o.backlog.Set(s.c, "", q)
			s.o.supply.Set(s.c, retry, q.Retry)
		}
		return
	}
	q.Served = 0
	s.tell(q)
}

// retry is the id of the timer that looks at the whole backlog again; the other
// one goes on where the last call stopped.
const retry = "retry"

// serveBacklog goes on telling backorders of supply.
func (o *Operator) serveBacklog(c operators.Context, id string) error {
	q, _ := o.backlog.Get(c, "")
	if id == retry {
		q.Served = 0
	}
	o.open(c).tell(q)
	return nil
}

// tell tells as many backorders, in turn, as what can be promised may serve.
func (s *sheet) tell(q Backlog) {
	units := int64(0)
	for _, row := range s.all() {
		units += s.rules.atp(row)
	}
	var keys []string
	if units > 0 {
		s.o.turns.ScanFrom(s.c, "", hold.Number(q.Served+1), func(_ string, t *Turn) bool {
			keys = append(keys, t.Backorder)
			return len(keys) < MaxWoken
		})
	}
	for _, key := range keys {
		if units <= 0 {
			break
		}
		b, _ := s.o.waiting.Get(s.c, key)
		units -= b.Quantity
		q.Served = b.Number
		s.o.forget(s.c, key, b.Number)
		s.o.woken.Set(s.c, key, Woken{Number: b.Number})
		s.o.BackorderReady.Emit(s.c, b.Order, &event.BackorderReady{Order: b.Order, SKU: s.c.Key(), Line: b.Line})
	}
	if units > 0 && len(keys) == MaxWoken {
		s.o.supply.Set(s.c, "", s.c.LogTime())
	}
	s.o.backlog.Set(s.c, "", q)
}
