package linear

import "testing"

// op is an operation that was called and returned at moments.
func op(call, back int64, o Operation) Operation {
	o.Call, o.Return, o.Index = call, back, uint64(call)
	o.SKU = Scarce[0]
	return o
}

func received(call, back int64, n int, units int64, how Outcome) Operation {
	return op(call, back, Operation{Kind: Receive, Command: n, Quantity: units, Outcome: how})
}

func ordered(call, back int64, n int, units, granted int64, how Outcome) Operation {
	return op(call, back, Operation{Kind: Place, Command: n, Content: 1 + n%Rivals, Quantity: units, Granted: granted, Outcome: how, Decision: "d"})
}

func seen(call, back, onHand, reserved int64) Operation {
	return op(call, back, Operation{Kind: Read, Outcome: Done, Stock: Stock{onHand, reserved, onHand - reserved}})
}

// What one machine could have done is taken, and what it could not have is not.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		good bool
		list []Operation
	}{
		{"one after the other", true, []Operation{received(1, 2, 0, 3, Done), ordered(3, 4, 0, 2, 2, Done), ordered(5, 6, 2, 2, 1, Done), seen(7, 8, 3, 3)}},
		{"oversold", false, []Operation{received(1, 2, 0, 3, Done), ordered(3, 4, 0, 2, 2, Done), ordered(5, 6, 2, 2, 2, Done)}},
		{"stale", false, []Operation{received(1, 2, 0, 3, Done), received(3, 4, 1, 1, Done), seen(5, 6, 3, 0)}},
		{"at once, so before", true, []Operation{received(1, 2, 0, 3, Done), received(3, 6, 1, 1, Done), seen(4, 5, 3, 0)}},
		{"seen and gone", false, []Operation{received(1, 9, 0, 3, Done), seen(2, 3, 3, 0), seen(4, 5, 0, 0)}},
		{"twice by one id", false, []Operation{received(1, 2, 0, 3, Done), received(3, 4, 0, 3, Again), seen(5, 6, 6, 0)}},
		{"again, and never before", false, []Operation{received(1, 2, 0, 3, Again)}},
		{"unknown, and so", true, []Operation{received(1, Never, 0, 3, Maybe), seen(2, 3, 3, 0)}},
		{"unknown, and not", true, []Operation{received(1, Never, 0, 3, Maybe), seen(2, 3, 0, 0)}},
		{"unknown, late", true, []Operation{received(1, Never, 0, 3, Maybe), seen(2, 3, 0, 0), seen(4, 5, 3, 0)}},
		{"unknown, and again", true, []Operation{received(1, Never, 0, 3, Maybe), received(2, 3, 0, 3, Again), seen(4, 5, 3, 0)}},
		{"not done, yet there", false, []Operation{received(1, 2, 0, 3, NotDone), seen(3, 4, 3, 0)}},
		{"cancelled", true, []Operation{received(1, 2, 0, 3, Done), ordered(3, 4, 0, 2, 2, Done), op(5, 6, Operation{Kind: Cancel, Outcome: Done}), seen(7, 8, 3, 0), ordered(9, 10, 0, 2, 2, Done)}},
		{"cancelled, still held", false, []Operation{received(1, 2, 0, 3, Done), ordered(3, 4, 0, 2, 2, Done), op(5, 6, Operation{Kind: Cancel, Outcome: Done}), seen(7, 8, 3, 2)}},
		{"one key, two orders", false, []Operation{received(1, 2, 0, 3, Done), ordered(3, 4, 0, 1, 1, Done), ordered(5, 6, 1, 1, 1, Done)}},
		{"one key, one refused", true, []Operation{received(1, 2, 0, 3, Done), ordered(3, 4, 0, 1, 1, Done), ordered(5, 6, 1, 1, 0, KeyReused), seen(7, 8, 3, 1)}},
		{"refused, and nobody there", false, []Operation{ordered(1, 2, 0, 1, 0, KeyReused), ordered(3, 4, 0, 1, 0, KeyReused)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &History{}
			for i := range c.list {
				h.list = append(h.list, &c.list[i])
			}
			if faults := h.Check(); len(faults) > 0 == c.good {
				t.Errorf("Check() = %v; want it good: %v", faults, c.good)
			}
		})
	}
}

// Two decisions about one order are found though both answers say the same else.
func TestOneDecision(t *testing.T) {
	first, second := ordered(1, 2, 0, 1, 0, Done), ordered(3, 4, 0, 1, 0, Done)
	second.Decision = "another"
	if err := oneDecision([]*Operation{&first, &second}); err == nil {
		t.Error("two decisions about one order are taken for one")
	}
}

// Answers are held against the index that they name.
func TestIndexes(t *testing.T) {
	read := func(call, back int64, node int, stale bool, index uint64, onHand int64) Operation {
		return Operation{Kind: Read, SKU: Counted, Node: node, Life: 1, Stale: stale, Call: call, Return: back, Outcome: Done, Index: index, Stock: Stock{OnHand: onHand}}
	}
	goods := Operation{Kind: Receive, SKU: Counted, Command: 1, Quantity: 2, Call: 1, Return: 2, Outcome: Done, Index: 5}
	for _, c := range []struct {
		name string
		good bool
		list []Operation
	}{
		{"as they say", true, []Operation{goods, read(3, 4, 0, true, 4, 1), read(5, 6, 0, true, 5, 3), read(7, 8, 1, false, 7, 3), read(9, 10, 1, true, 6, 3)}},
		{"another state", false, []Operation{read(1, 2, 0, true, 5, 3), read(3, 4, 1, true, 5, 1)}},
		{"older than before", false, []Operation{goods, read(3, 4, 0, false, 4, 1)}},
		{"a replica goes back", false, []Operation{read(1, 2, 0, true, 6, 1), read(3, 4, 0, true, 5, 1)}},
		{"newer than it is", false, []Operation{goods, read(3, 4, 0, true, 6, 1)}},
		{"older than it is", false, []Operation{goods, read(3, 4, 0, true, 4, 3)}},
	} {
		if faults := checkIndexes(c.list); len(faults) > 0 == c.good {
			t.Errorf("%s: %v; want it good: %v", c.name, faults, c.good)
		}
	}
}
