package linear

import (
	"fmt"
	"math"
	"sync"
)

// Kind is what an operation does.
type Kind uint8

// Kinds of operations.
const (
	Place   Kind = iota // an order of an SKU is placed under a key of idempotency
	Cancel              // an order is cancelled
	Receive             // goods of an SKU come in, under a document
	Read                // its stock is read
)

// Operation is a request and what came of it. Moments are numbers of the
// history's own clock: an operation that returned before another was called has
// a smaller Return than the other's Call.
type Operation struct {
	Kind     Kind
	SKU      string
	Command  int   // number of the order or document, from 0 in each SKU
	Content  int   // of orders under one key: which it was, from 1
	Quantity int64 // wished, or received
	Stale    bool  // a read of the node's own replica

	Client, Node, Life int
	Call, Return       int64 // Return is [Never] while nothing is known

	Outcome  Outcome
	Index    uint64 // that the answer is good for, 0 if it named none
	Decision string // of an order
	Granted  int64  // of an order
	Stock    Stock  // that was read
}

// Never is when an operation returns of which no answer came.
const Never = math.MaxInt64

// Outcome is what is known of an operation.
type Outcome uint8

// Outcomes.
const (
	Maybe     Outcome = iota // it was carried out, will be, or never is
	Done                     // it was carried out
	Again                    // it had been carried out before, says the answer
	KeyReused                // an order was refused: its key stands for another one
	NotDone                  // it was certainly not carried out
)

// Stock is an SKU's at the one place that has it.
type Stock struct{ OnHand, Reserved, ATP int64 }

// History gathers operations of many clients at once.
type History struct {
	mu    sync.Mutex // guards what follows
	clock int64
	list  []*Operation
	named map[string]int // commands by SKU
}

// Number is a number for the next command of an SKU.
func (h *History) Number(sku string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.named == nil {
		h.named = map[string]int{}
	}
	h.named[sku]++
	return h.named[sku] - 1
}

// Begin notes that an operation is called.
func (h *History) Begin(o Operation) *Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	o.Call, o.Return = h.clock, Never
	h.list = append(h.list, &o)
	return &o
}

// End notes what came of an operation.
func (h *History) End(o *Operation, fill func(o *Operation)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fill(o)
	h.clock++
	if o.Outcome != Maybe {
		o.Return = h.clock
	}
}

// Operations are those so far, in the order of their calls.
func (h *History) Operations() []Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Operation, len(h.list))
	for i, o := range h.list {
		list[i] = *o
	}
	return list
}

// String counts what came of the operations.
func (h *History) String() string {
	counts := map[string]int{}
	for _, o := range h.Operations() {
		counts[o.Kind.name(o.Stale)+" "+o.Outcome.name()]++
	}
	return fmt.Sprint(counts)
}

func (k Kind) name(stale bool) string {
	if stale {
		return "stale read"
	}
	return [...]string{"place", "cancel", "receive", "read"}[k]
}

func (o Outcome) name() string {
	return [...]string{"maybe", "done", "again", "key reused", "not done"}[o]
}
