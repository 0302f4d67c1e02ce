package wire

import (
	"slices"

	"anabranch.dev/state"
)

// Shape is what documents of one event type look like beyond the types of their
// fields, for those who describe them.
type Shape struct {
	Type string
	New  func() state.Visitable
	// Required fields must be there and not be empty.
	Required []string
	// Lines must be there, at least one, if set; Priced ones each with a unit
	// price above 0.
	Lines, Priced bool
	// LeastQuantity of the event or of each of its lines. NoZero ones may be
	// negative, but not 0.
	LeastQuantity int64
	NoZero        bool
	// Identifiers is how many the list of that name must have.
	Identifiers int
	// ID names the fields that make up the id of reference data, whose Kafka key
	// is type/id.
	ID []string
}

// Shapes lists the shapes of all types that a Decoder knows, in the order of
// [Types].
func Shapes() []Shape {
	shapes := make([]Shape, len(kinds))
	for i, k := range kinds {
		s := Shape{Type: k.name, New: k.make, Required: slices.Clone(k.required), Lines: k.hasLines, Priced: k.priced,
			LeastQuantity: 1, Identifiers: k.identifiers, ID: slices.Clone(k.id)}
		switch k.quantity {
		case notNegative:
			s.LeastQuantity = 0
		case notZero:
			s.LeastQuantity, s.NoZero = -MaxQuantity, true
		case anyQuantity:
			s.LeastQuantity = -MaxQuantity
		}
		shapes[i] = s
	}
	return shapes
}

// RequiredInLine names the fields that each line must have.
func (s *Shape) RequiredInLine() []string {
	if s.Priced {
		return slices.Clone(requiredInPricedLine)
	}
	return slices.Clone(requiredInLine)
}

// Measured says whether a decimal is measured, not counted: degrees and dBm, which
// are written as numbers, rounded, and lie within ±limit.
func Measured(field string) (limit float64, ok bool) {
	most, _ := measured(field)
	return float64(most) / float64(state.One), most > 0
}

// Identifiers says whether a field holds a list of identifiers of persons.
func Identifiers(field string) bool { return classOf(field) == classIdentifiers }
