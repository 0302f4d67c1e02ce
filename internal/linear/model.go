package linear

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// stock is the model of one SKU: what the cluster would do if it were one
// machine that carries out one operation after the other.
type stock struct {
	onHand, reserved int64
	orders           string // a byte per order
	documents        string // a byte per document, 1 for one that was received
}

// What is known of an order is what it was granted, and this:
const (
	placed    = 1 << 6
	cancelled = 1 << 7
	granted   = placed - 1
)

// put is list with a byte at a place.
func put(list string, at int, b byte) string {
	grown := []byte(list)
	for len(grown) <= at {
		grown = append(grown, 0)
	}
	grown[at] = b
	return string(grown)
}

func at(list string, i int) byte {
	if i < len(list) {
		return list[i]
	}
	return 0
}

// step carries an operation out. It reports whether what came of it can have.
func (s stock) step(o *Operation) (bool, stock) {
	switch o.Kind {
	case Place:
		return s.place(o)
	case Cancel:
		b := at(s.orders, o.Command)
		if b&placed != 0 && b&cancelled == 0 {
			s.reserved -= int64(b & granted)
			s.orders = put(s.orders, o.Command, b|cancelled)
		}
		return true, s
	case Receive:
		first := at(s.documents, o.Command) == 0
		if first {
			s.onHand += o.Quantity
			s.documents = put(s.documents, o.Command, 1)
		}
		// Of two attempts at once both hear of the first.
		return !first || o.Outcome != Again, s
	default:
		return o.Stock == Stock{OnHand: s.onHand, Reserved: s.reserved, ATP: s.onHand - s.reserved}, s
	}
}

// place grants an order what can be promised, once: again it is answered the
// same.
func (s stock) place(o *Operation) (bool, stock) {
	b := at(s.orders, o.Command)
	if b&placed == 0 {
		b = placed | byte(min(o.Quantity, s.onHand-s.reserved))
		s.reserved += int64(b & granted)
		s.orders = put(s.orders, o.Command, b)
	}
	return o.Outcome == Maybe || o.Granted == int64(b&granted), s
}

var stockModel = porcupine.Model{
	Init: func() any { return stock{} },
	Step: func(state, input, _ any) (bool, any) { return state.(stock).step(input.(*Operation)) },
	DescribeOperation: func(input, _ any) string {
		return input.(*Operation).String()
	},
}

// keyModel is that of an idempotency key: it stands for the content that came
// first. Its state is that content, 0 for none.
var keyModel = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, input, _ any) (bool, any) {
		o, stands := input.(*Operation), state.(int)
		if stands == 0 {
			stands = o.Content
		}
		switch o.Outcome {
		case Maybe:
			return true, stands
		case KeyReused:
			return stands != o.Content, stands
		}
		return stands == o.Content, stands
	},
	DescribeOperation: func(input, _ any) string {
		return input.(*Operation).String()
	},
}

// String describes an operation.
func (o *Operation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d-%s client %d node %d.%d: ", o.Call, cmp.Or(map[bool]string{true: "?"}[o.Return == Never], fmt.Sprint(o.Return)), o.Client, o.Node+1, o.Life)
	switch o.Kind {
	case Place:
		fmt.Fprintf(&b, "place %s/%d.%d of %d", o.SKU, o.Command, o.Content, o.Quantity)
	case Cancel:
		fmt.Fprintf(&b, "cancel %s/%d", o.SKU, o.Command)
	case Receive:
		fmt.Fprintf(&b, "receive %s/%d of %d", o.SKU, o.Command, o.Quantity)
	case Read:
		fmt.Fprintf(&b, "read %s, stale %v = %+v", o.SKU, o.Stale, o.Stock)
	}
	b.WriteString(": " + o.Outcome.name())
	if o.Kind == Place && (o.Outcome == Done || o.Outcome == Again) {
		fmt.Fprintf(&b, ", granted %d", o.Granted)
	}
	if o.Index > 0 {
		fmt.Fprintf(&b, " at index %d", o.Index)
	}
	return b.String()
}

// patience is how long a history may take to be judged, and stretch by how many
// operations it grows from one judgement to the next.
const (
	patience = time.Minute
	stretch  = 60
)

// judge has Porcupine look for an order of the operations, one after the other,
// in which each comes to what it did. What no order explains is found soonest in
// the shortest beginning of the history that has it, where there is least to try.
func judge(model porcupine.Model, list []*Operation) error {
	for n := stretch; ; n += stretch {
		part := list
		if n < len(list) {
			part = asOf(list[n].Call, list[:n])
		}
		if err := judgeAll(model, settled(part)); err != nil || n >= len(list) {
			return err
		}
	}
}

// asOf is what was known of operations at a moment.
func asOf(moment int64, list []*Operation) (known []*Operation) {
	for _, o := range list {
		if o.Return > moment {
			if o.Kind == Read {
				continue
			}
			open := *o
			open.Outcome, open.Return = Maybe, Never
			o = &open
		}
		known = append(known, o)
	}
	return known
}

func judgeAll(model porcupine.Model, list []*Operation) error {
	ops := make([]porcupine.Operation, len(list))
	for i, o := range list {
		ops[i] = porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: o.Return}
	}
	switch porcupine.CheckOperationsTimeout(model, ops, patience) {
	case porcupine.Illegal:
		return fmt.Errorf("no order of its first %d operations explains them: the longest that does leaves\n%s", len(list), unexplained(model, ops, list))
	case porcupine.Unknown:
		return fmt.Errorf("not judged within %v: %d operations", patience, len(list))
	}
	return nil
}

// unexplained are the first operations that the longest linearization found
// leaves out, for whoever looks for the reason.
func unexplained(model porcupine.Model, ops []porcupine.Operation, list []*Operation) string {
	_, info := porcupine.CheckOperationsVerbose(model, ops, patience)
	var best []int
	for _, partition := range info.PartialLinearizations() {
		for _, l := range partition {
			if len(l) > len(best) {
				best = l
			}
		}
	}
	in := map[int]bool{}
	for _, i := range best {
		in[i] = true
	}
	var out []string
	for i, o := range list {
		if !in[i] && o.Return != Never {
			out = append(out, o.String())
		}
	}
	return strings.Join(out[:min(len(out), 5)], "\n")
}

// settled leaves of a command's attempts without an answer the first, which may
// have had any effect that a later one may: there is at most one. It gives it an
// end if another attempt is known to have carried the command out: later than that
// it has no effect, so that it may as well have come before.
func settled(list []*Operation) (kept []*Operation) {
	type command struct {
		kind            Kind
		number, content int
	}
	of := func(o *Operation) command { return command{o.Kind, o.Command, o.Content} }
	known := map[command]int64{}
	for _, o := range list {
		if o.Kind != Read && o.Return < cmp.Or(known[of(o)], Never) && o.Outcome != KeyReused {
			known[of(o)] = o.Return
		}
	}
	tried := map[command]bool{}
	for _, o := range list {
		if o.Outcome == Maybe {
			end := cmp.Or(known[of(o)], Never)
			if tried[of(o)] || o.Call >= end {
				continue
			}
			tried[of(o)] = true
			bounded := *o
			bounded.Return = end
			o = &bounded
		}
		kept = append(kept, o)
	}
	return kept
}
