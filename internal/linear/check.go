package linear

import (
	"fmt"
	"maps"
	"slices"
)

// Check returns what no single machine would have done: answers that are not what
// their index says, and if there are none, which is seen at once and named exactly,
// operations per SKU and per idempotency key that have no order, and answers to one
// command that differ.
func (h *History) Check() (faults []error) {
	list := h.Operations()
	if faults := checkIndexes(list); len(faults) > 0 {
		return faults
	}
	won := map[string]int{} // content by key
	for i := range list {
		if o := &list[i]; o.Kind == Place && o.Outcome == Done {
			won[o.key()] = o.Content
		}
	}
	bySKU, byKey := map[string][]*Operation{}, map[string][]*Operation{}
	for i := range list {
		o := &list[i]
		if o.Kind == Place {
			byKey[o.key()] = append(byKey[o.key()], o.claim())
		}
		if w := won[o.key()]; o.Kind == Place && w != 0 && w != o.Content {
			continue // the key stands for another order, or will be found to
		}
		if o.counts() {
			bySKU[o.SKU] = append(bySKU[o.SKU], o)
		}
	}
	for _, sku := range slices.Sorted(maps.Keys(bySKU)) {
		if err := judge(stockModel, bySKU[sku]); err != nil {
			faults = append(faults, fmt.Errorf("stock of %s: %w", sku, err))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		if err := judge(keyModel, byKey[key]); err != nil {
			faults = append(faults, fmt.Errorf("key %s: %w", key, err))
		}
		if err := oneDecision(byKey[key]); err != nil {
			faults = append(faults, fmt.Errorf("key %s: %w", key, err))
		}
	}
	return faults
}

// key names an order's idempotency key. Orders that are to compete for one have
// the same number.
func (o *Operation) key() string { return fmt.Sprintf("%s/%d", o.SKU, o.Command/Rivals) }

// claim is what an order does to its key: one that was not placed may have claimed
// it all the same.
func (o *Operation) claim() *Operation {
	if o.Outcome != NotDone {
		return o
	}
	claim := *o
	claim.Outcome, claim.Return = Maybe, Never
	return &claim
}

// counts says whether an operation belongs into its SKU's history: what was
// certainly not carried out must be without effect, and what a replica says that
// may be behind is judged by its index.
func (o *Operation) counts() bool {
	switch {
	case o.Kind == Read:
		return o.Outcome == Done && !o.Stale
	default:
		return o.Outcome != NotDone && o.Outcome != KeyReused
	}
}

// oneDecision wants all answers to one order to name one decision.
func oneDecision(list []*Operation) error {
	first := map[int]*Operation{}
	for _, o := range list {
		if o.Decision == "" {
			continue
		}
		if f := first[o.Content]; f != nil && f.Decision != o.Decision {
			return fmt.Errorf("two decisions, %s and %s:\n%v\n%v", f.Decision, o.Decision, f, o)
		}
		first[o.Content] = o
	}
	return nil
}
