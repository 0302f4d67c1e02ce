package matching_test

import (
	"testing"

	"anabranch.dev/operators/matching"
	"anabranch.dev/state"
)

// two is a model of two fields; agreement on a common first one says little.
var two = matching.Model{Prior: -10 * state.One, Fields: []matching.Field{
	{Name: "name", Weights: [matching.Levels]state.Decimal{8 * state.One, 5 * state.One, 3 * state.One, 2 * state.One, -2 * state.One},
		Common: []matching.Common{{Exact: 7, Weight: state.One}, {Exact: 9, Weight: 2 * state.One}}},
	{Name: "born", Weights: [matching.Levels]state.Decimal{12 * state.One, 4 * state.One, 0, 0, -4 * state.One}},
}}

func TestCompare(t *testing.T) {
	value := func(exact uint64) matching.Value { return matching.Value{Exact: exact} }
	for _, test := range []struct {
		name string
		a, b []matching.Value
		want state.Decimal
	}{
		{"nothing known", make([]matching.Value, 2), make([]matching.Value, 2), -10 * state.One},
		{"both equal", []matching.Value{value(1), value(2)}, []matching.Value{value(1), value(2)}, 10 * state.One},
		{"a common name", []matching.Value{value(9), value(2)}, []matching.Value{value(9), value(2)}, 4 * state.One},
		{"different", []matching.Value{value(1), value(2)}, []matching.Value{value(3), value(4)}, -16 * state.One},
		{"one missing", []matching.Value{value(1), {}}, []matching.Value{value(1), value(2)}, -2 * state.One},
		{"sounds alike", []matching.Value{{Exact: 1, Sound: 5}}, []matching.Value{{Exact: 2, Sound: 5}}, -8 * state.One},
		{"more fields than the model", make([]matching.Value, 5), make([]matching.Value, 3), -10 * state.One},
	} {
		if got := two.Compare(test.a, test.b); got != test.want {
			t.Errorf("%s: Compare = %s; want %s", test.name, got, test.want)
		}
		if got := two.Compare(test.b, test.a); got != test.want {
			t.Errorf("%s, the other way round: Compare = %s; want %s", test.name, got, test.want)
		}
	}
}

func TestCheck(t *testing.T) {
	if faults := two.Check(); len(faults) != 0 {
		t.Errorf("Check = %v; want none", faults)
	}
	bad := matching.Model{Prior: 101 * state.One, Fields: []matching.Field{{Weights: [matching.Levels]state.Decimal{0, -101 * state.One}}}}
	if faults := bad.Check(); len(faults) != 2 {
		t.Errorf("Check = %v; want two faults", faults)
	}
	if faults := (&matching.Model{}).Check(); len(faults) != 1 {
		t.Errorf("Check of an empty model = %v; want one fault", faults)
	}
}
