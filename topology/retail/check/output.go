package check

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

// Output checks what has gone out, record by record in the order of its topic
// partition: every decision once, in order and gapless per key, one per order
// and attempt, never more allocated than was asked for.
type Output struct {
	violations Violations
	ids        map[string]bool
	numbers    map[string]uint64 // by topic and key
	orders     map[string]*orderOutput

	// Counts of what was seen, so that a check of nothing shows.
	Decided, Failed, Released int64
}

// NewOutput starts a check at the beginning of the topics.
func NewOutput() *Output {
	return &Output{ids: map[string]bool{}, numbers: map[string]uint64{}, orders: map[string]*orderOutput{}}
}

// Violations is what was found so far.
func (o *Output) Violations() Violations { return o.violations }

// Orders is how many orders were decided.
func (o *Output) Orders() int { return len(o.orders) }

// orderOutput is what is known of one order.
type orderOutput struct {
	attempt int64
	version int64           // of the policy that shaped it
	asked   map[int64]int64 // units per line, as the first attempt names them
	net     map[int64]int64 // allocated less released, per line
	parts   map[outputPart]int64
}

type outputPart struct {
	attempt, line  int64
	location, pool string
}

// Add checks the next record. Conflated records have no numbers and are passed
// over.
func (o *Output) Add(r *operators.Record) {
	if r.Number == 0 || r.Topic == retail.TopicDeadLetters {
		return
	}
	if o.ids[r.ID] {
		o.violations.addf(CodeDoubled, r.Key, "%s %s came twice", r.Type, r.ID)
		return
	}
	o.ids[r.ID] = true
	at := r.Topic + "\x00" + r.Key
	if want := o.numbers[at] + 1; r.Number != want {
		o.violations.addf(CodeNumber, r.Key, "%s has number %d, want %d", r.Type, r.Number, want)
	}
	o.numbers[at] = r.Number
	switch r.Type {
	case "allocation.decided", "allocation.failed":
		e, ok := r.Payload.Value.(*event.AllocationDecided)
		if !ok {
			o.violations.addf(CodeUnreadable, r.Key, "%s %s", r.Type, r.ID)
			return
		}
		o.decided(e, r.Type == "allocation.failed")
	case "allocation.released":
		e, ok := r.Payload.Value.(*event.AllocationReleased)
		if !ok {
			o.violations.addf(CodeUnreadable, r.Key, "%s %s", r.Type, r.ID)
			return
		}
		o.released(e)
	}
}

func (o *Output) order(name string) *orderOutput {
	s := o.orders[name]
	if s == nil {
		s = &orderOutput{asked: map[int64]int64{}, net: map[int64]int64{}, parts: map[outputPart]int64{}}
		o.orders[name] = s
	}
	return s
}

func (o *Output) decided(e *event.AllocationDecided, failed bool) {
	s := o.order(e.Order)
	if e.Attempt != s.attempt+1 {
		o.violations.addf(CodeAttempt, e.Order, "attempt %d after %d", e.Attempt, s.attempt)
	}
	if e.Policy.Version < s.version {
		o.violations.addf(CodePolicy, e.Order, "attempt %d is by version %d of the policy, the one before by %d", e.Attempt, e.Policy.Version, s.version)
	}
	s.attempt, s.version = e.Attempt, e.Policy.Version
	if failed {
		o.Failed++
	} else {
		o.Decided++
	}
	served := false
	for i := range e.Lines {
		l := &e.Lines[i]
		served = served || l.Outcome != event.Failed
		if e.Attempt == 1 {
			s.asked[l.Line] += l.Quantity
		}
		o.line(e, s, l)
	}
	if failed == served {
		o.violations.addf(CodeShape, e.Order, "attempt %d: failed is %v, some line served is %v", e.Attempt, failed, served)
	}
	o.cost(e)
}

// line checks one decided line and adds its parts up.
func (o *Output) line(e *event.AllocationDecided, s *orderOutput, l *event.DecidedLine) {
	var units int64
	for _, p := range l.Parts {
		if p.Quantity <= 0 {
			o.violations.addf(CodeShape, e.Order, "line %d: %d units from %s", l.Line, p.Quantity, p.Location)
		}
		units += p.Quantity
		s.parts[outputPart{e.Attempt, l.Line, p.Location, p.Pool}] += p.Quantity
	}
	s.net[l.Line] += units
	switch {
	case units > l.Quantity:
		o.violations.addf(CodeOver, e.Order, "attempt %d line %d: %d allocated, %d asked for", e.Attempt, l.Line, units, l.Quantity)
	case s.net[l.Line] > s.asked[l.Line]:
		o.violations.addf(CodeOver, e.Order, "line %d: %d allocated over all attempts, %d ordered", l.Line, s.net[l.Line], s.asked[l.Line])
	}
	good := false
	switch l.Outcome {
	case event.Allocated:
		good = units > 0 && (units == l.Quantity || l.Reason != "")
	case event.Backordered:
		good = units < l.Quantity && l.Reason != ""
	case event.Failed:
		good = units == 0 && l.Reason != ""
	}
	if !good {
		o.violations.addf(CodeShape, e.Order, "attempt %d line %d: %q with %d of %d units, reason %q",
			e.Attempt, l.Line, l.Outcome, units, l.Quantity, l.Reason)
	}
}

// cost checks that the terms make up the total.
func (o *Output) cost(e *event.AllocationDecided) {
	t := &e.Cost.Terms
	if sum := t.Shipping + t.Handling + t.Split + t.Capacity + t.Acceptance + t.Rules + t.Opportunity - t.Markdown; sum != e.Cost.Total {
		o.violations.addf(CodeShape, e.Order, "attempt %d: terms sum to %s, total is %s", e.Attempt, sum, e.Cost.Total)
	}
}

func (o *Output) released(e *event.AllocationReleased) {
	o.Released++
	s := o.order(e.Order)
	for i := range e.Lines {
		l := &e.Lines[i]
		for _, p := range l.Parts {
			at := outputPart{e.Attempt, l.Line, p.Location, p.Pool}
			s.parts[at] -= p.Quantity
			s.net[l.Line] -= p.Quantity
			if p.Quantity <= 0 || s.parts[at] < 0 {
				o.violations.addf(CodeRelease, e.Order, "attempt %d line %d: %d released at %s, %d more than allocated",
					e.Attempt, l.Line, p.Quantity, p.Location, -s.parts[at])
			}
		}
	}
}

// Position is how far one input partition has been applied, summed over groups.
type Position struct {
	Partition                                string
	Events, Applied, Duplicates, DeadLetters int64
}

// Inputs checks that no event was lost or counted twice. It holds once lanes are
// drained.
func Inputs(positions []Position) Violations {
	var vs Violations
	for _, p := range positions {
		if sum := p.Applied + p.Duplicates + p.DeadLetters; sum != p.Events {
			vs.addf(CodeInputs, p.Partition, "%d events, but %d applied + %d duplicates + %d dead letters = %d",
				p.Events, p.Applied, p.Duplicates, p.DeadLetters, sum)
		}
	}
	return vs
}

// Amount is a sum of money and what it is of.
type Amount struct {
	What   string
	Amount state.Decimal
}

// Sum checks that amounts make up a whole, such as applied and dead-lettered
// documents what was sent.
func Sum(key string, whole state.Decimal, parts ...Amount) Violations {
	var vs Violations
	var sum state.Decimal
	for _, p := range parts {
		sum += p.Amount
	}
	if sum != whole {
		vs.addf(CodeTotals, key, "parts sum to %s, want %s: %v", sum, whole, parts)
	}
	return vs
}
