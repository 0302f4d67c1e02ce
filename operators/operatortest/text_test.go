package operatortest

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

const now = state.Time(1_780_308_000_000_000)

// filled reads a directive into a new E and prints it.
func filled(t *testing.T, make func() state.Visitable, line, input string) (string, error) {
	t.Helper()
	_, args, err := datadriven.ParseLine("verb " + line)
	if err != nil {
		t.Fatal(err)
	}
	items, err := itemsOf(input)
	if err != nil {
		t.Fatal(err)
	}
	v, err := fill(make, fieldsOf(args), items, now)
	if err != nil {
		return "", err
	}
	return Print(v), nil
}

func order() state.Visitable    { return &event.OrderPlaced{} }
func policy() state.Visitable   { return &event.PolicyPublished{} }
func location() state.Visitable { return &event.Location{} }

func TestFillAndPrint(t *testing.T) {
	for _, c := range []struct {
		name        string
		make        func() state.Visitable
		line, input string
		want        string
	}{
		{"scalars", order, "order=A1 backorder promised_by=+1h", "",
			"order=A1 promised_by=2026-06-01T11:00:00Z backorder=true"},
		{"one item in the line", order, "order=A1 line=1 sku=x quantity=2 unit_price=1.5", "",
			"order=A1 lines=(line=1 sku=x quantity=2 unit_price=1.50)"},
		{"items under it", order, "order=A1", "line=1 sku=x\nline=2 sku=y quantity=-3",
			"order=A1 lines=(line=1 sku=x; line=2 sku=y quantity=-3)"},
		{"items of another list", order, "order=A1", "type=phone value=p authenticated",
			"order=A1 customer=(type=phone value=p authenticated=true)"},
		{"an optional struct", order, "destination.lat=39.93 destination.lon=-0.000001", "",
			"destination=(lat=39.93 lon=-0.000001)"},
		{"a list of strings", location, "location=x pools=(web,store)", "", "location=x pools=(web; store)"},
		{"spans of time", policy, "name=x allocation.order_timeout_us=30s allocation.reservation_ttl_us=14d", "",
			"name=x allocation=(order_timeout_us=1970-01-01T00:00:30Z reservation_ttl_us=1970-01-15T00:00:00Z)"},
	} {
		got, err := filled(t, c.make, c.line, c.input)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestFillRefuses(t *testing.T) {
	for _, c := range []struct{ name, line, input, want string }{
		{"an unknown field", "order=A1 colour=red", "", "colour"},
		{"an unknown field of an item", "order=A1", "line=1 colour=red", "colour"},
		{"an unknown field beside items", "order=A1 colour=red", "line=1", "colour"},
		{"a number that is none", "line=one", "", "line"},
		{"a decimal with too many places", "destination.lat=1.1234567", "", "six places"},
		{"a time that is none", "promised_by=tomorrow", "", "promised_by"},
	} {
		if _, err := filled(t, order, c.line, c.input); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want one about %q", c.name, err, c.want)
		}
	}
}

func TestPrintOnly(t *testing.T) {
	e := &event.HoldAnswered{Order: "A1", Attempt: 1, Reason: "not enough",
		Places: []event.Available{{Location: "x", ATP: 2}, {Location: "y"}}}
	for _, c := range []struct {
		only []string
		want string
	}{
		{nil, `order=A1 attempt=1 reason="not enough" places=(location=x atp=2; location=y)`},
		{[]string{"order", "round"}, "order=A1"},
		{[]string{"order", "round="}, "order=A1 round=0"},
		{[]string{"places"}, "places=(location=x atp=2; location=y)"},
		{[]string{"places.atp="}, "places=(atp=2; atp=0)"},
	} {
		if got := Print(e, c.only...); got != c.want {
			t.Errorf("Print(%v) = %q; want %q", c.only, got, c.want)
		}
	}
}
