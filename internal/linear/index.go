package linear

import "fmt"

// checkIndexes checks what answers claim by their index: reads at one index see
// one state; an answer of the leader is at least as new as all that was answered
// before it was asked for; a node's replica never goes back; and goods are there
// from exactly the index on at which they came in.
func checkIndexes(list []Operation) (faults []error) {
	for _, check := range []func(list []Operation) error{sameState, neverOlder, neverBack, fromTheirIndex} {
		if err := check(list); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}

// sameState wants reads of one SKU at one index to be equal, whoever answered.
func sameState(list []Operation) error {
	type moment struct {
		sku   string
		index uint64
	}
	seen := map[moment]*Operation{}
	for i := range list {
		o := &list[i]
		if o.Kind != Read || o.Outcome != Done {
			continue
		}
		at := moment{o.SKU, o.Index}
		if other := seen[at]; other != nil && other.Stock != o.Stock {
			return fmt.Errorf("two states at one index:\n%v\n%v", other, o)
		}
		seen[at] = o
	}
	return nil
}

// neverOlder wants an answer that is linearizable to be as new as every one that
// came before it was asked for.
func neverOlder(list []Operation) error {
	for i := range list {
		o := &list[i]
		if o.Index == 0 || o.Stale {
			continue
		}
		for j := range list {
			if p := &list[j]; p.Return < o.Call && p.Index > o.Index {
				return fmt.Errorf("an answer is older than one before:\n%v\n%v", p, o)
			}
		}
	}
	return nil
}

// neverBack wants stale reads of a node, in one life, not to go back.
func neverBack(list []Operation) error {
	for i := range list {
		o := &list[i]
		if o.Index == 0 || !o.Stale || o.Life == 0 {
			continue
		}
		for j := range list {
			if p := &list[j]; p.Stale && p.Node == o.Node && p.Life == o.Life && p.Return < o.Call && p.Index > o.Index {
				return fmt.Errorf("a node's replica went back:\n%v\n%v", p, o)
			}
		}
	}
	return nil
}

// fromTheirIndex wants a read to include goods if, and only if, its index is not
// before the one at which they were applied. It can tell for SKUs whose n-th
// document brings 2ⁿ units, see [Counted].
func fromTheirIndex(list []Operation) error {
	for i := range list {
		in := &list[i]
		if in.Kind != Receive || in.SKU != Counted || in.Index == 0 {
			continue
		}
		for j := range list {
			o := &list[j]
			if o.Kind != Read || o.SKU != Counted || o.Outcome != Done {
				continue
			}
			there := o.Stock.OnHand&in.Quantity != 0
			if o.Index >= in.Index && !there || o.Index < in.Index && there && in.Outcome == Done {
				return fmt.Errorf("not the state at its index:\n%v\n%v", in, o)
			}
		}
	}
	return nil
}
