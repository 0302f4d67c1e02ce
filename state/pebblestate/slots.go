package pebblestate

import (
	"slices"

	"github.com/tidwall/btree"
)

// slots are the rows of a large cell's table that are in memory. Few stand in a
// sorted slice. Of many, most are asked for by name: the order is only made when
// they are visited in order for the first time, and kept from then on.
type slots struct {
	few    []*slot
	byName map[string]*slot
	order  *btree.Map[string, *slot]
}

// fewSlots is how many stand in a slice at most.
const fewSlots = 32

func (s *slots) len() int { return len(s.few) + len(s.byName) }

// find says where a row stands or would stand among few.
func (s *slots) find(row string) (at int, ok bool) {
	end := len(s.few)
	for at < end {
		middle := (at + end) / 2
		if s.few[middle].row < row {
			at = middle + 1
		} else {
			end = middle
		}
	}
	return at, at < len(s.few) && s.few[at].row == row
}

// get returns a row's slot, or nil.
func (s *slots) get(row string) *slot {
	if s.byName != nil {
		return s.byName[row]
	}
	if at, ok := s.find(row); ok {
		return s.few[at]
	}
	return nil
}

// add puts a slot in its place, which must be free.
func (s *slots) add(sl *slot) {
	if s.byName == nil {
		if len(s.few) < fewSlots {
			at, _ := s.find(sl.row)
			s.few = slices.Insert(s.few, at, sl)
			return
		}
		s.byName = make(map[string]*slot, 2*fewSlots)
		for _, other := range s.few {
			s.byName[other.row] = other
		}
		s.few = nil
	}
	s.byName[sl.row] = sl
	if s.order != nil {
		s.order.Set(sl.row, sl)
	}
}

// remove takes a slot out and says whether it was there.
func (s *slots) remove(sl *slot) bool {
	if s.get(sl.row) != sl {
		return false
	}
	if s.byName == nil {
		at, _ := s.find(sl.row)
		s.few = slices.Delete(s.few, at, at+1)
		return true
	}
	delete(s.byName, sl.row)
	if s.order != nil {
		s.order.Delete(sl.row)
	}
	return true
}

// each visits all slots, in any order, until fn returns false.
func (s *slots) each(fn func(sl *slot) bool) {
	for _, sl := range s.few {
		if !fn(sl) {
			return
		}
	}
	for _, sl := range s.byName {
		if !fn(sl) {
			return
		}
	}
}

// ascend visits the slots that are not before row in order, until fn returns
// false. fn must not add or remove slots.
func (s *slots) ascend(row string, fn func(sl *slot) bool) {
	if s.byName == nil {
		for at, _ := s.find(row); at < len(s.few); at++ {
			if !fn(s.few[at]) {
				return
			}
		}
		return
	}
	if s.order == nil {
		s.order = new(btree.Map[string, *slot])
		for name, sl := range s.byName {
			s.order.Set(name, sl)
		}
	}
	s.order.Ascend(row, func(_ string, sl *slot) bool { return fn(sl) })
}
