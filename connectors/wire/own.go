package wire

import (
	"reflect"

	"anabranch.dev/state"
)

// Type is an event type of a topology of its own. Envelope, limits and how
// values are read are the same as for the shipped types.
type Type struct {
	Name string
	New  func() state.Visitable
	// Codes are the string fields that name things of the business and are kept
	// as given. Others whose names no shipped type has are dropped: nobody has
	// said that they hold nothing personal.
	Codes []string
}

// Add makes the Decoder know a type, in place of a shipped one with its name
// unless that is the same. It is for before the first Decode.
func (d *Decoder) Add(t Type) {
	if k := kindsByName[t.Name]; k != nil && reflect.TypeOf(k.make()) == reflect.TypeOf(t.New()) {
		return
	}
	if d.own == nil {
		d.own = map[string]*kind{}
	}
	d.own[t.Name] = &kind{name: t.Name, make: t.New, quantity: anyQuantity, codes: t.Codes}
}

// kindOf finds an event type by the bytes of its name, or nil.
func (s *decoding) kindOf(name []byte) *kind {
	if k := s.own[string(name)]; k != nil {
		return k
	}
	return kindOf(name)
}
