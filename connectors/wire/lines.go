package wire

import (
	"slices"

	"anabranch.dev/state"
)

// lines checks what the lines of a document make together.
type lines struct {
	numbers  []int64 // line numbers in their order
	sorted   bool    // increasing so far, so that none is there twice
	quantity int64   // of the line at hand
	price    state.Decimal
	amount   int64 // Σ quantity × price in millionths
}

func (l *lines) reset() {
	*l = lines{numbers: l.numbers[:0], sorted: true}
}

// begin starts a line.
func (l *lines) begin() { l.quantity, l.price = 0, 0 }

func (l *lines) numbered(n int64) {
	if k := len(l.numbers); k > 0 && l.numbers[k-1] >= n {
		l.sorted = false
	}
	l.numbers = append(l.numbers, n)
}

// end adds the line up; false says that the amount is beyond MaxAmount.
func (l *lines) end() bool {
	const limit = MaxAmount * int64(state.One)
	if l.quantity > 0 && int64(l.price) > limit/l.quantity {
		return false
	}
	l.amount += l.quantity * int64(l.price)
	return l.amount <= limit
}

// duplicate returns the place of the first line whose number an earlier one
// has, or -1.
func (l *lines) duplicate() int {
	if l.sorted {
		return -1
	}
	type numbered struct {
		number int64
		at     int
	}
	all := make([]numbered, len(l.numbers))
	for i, n := range l.numbers {
		all[i] = numbered{n, i}
	}
	slices.SortStableFunc(all, func(a, b numbered) int { return int(a.number - b.number) })
	first := -1
	for i := 1; i < len(all); i++ {
		if all[i].number == all[i-1].number && (first < 0 || all[i].at < first) {
			first = all[i].at
		}
	}
	return first
}
