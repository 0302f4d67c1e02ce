package acceptance

import (
	"testing"

	"anabranch.dev/state"
)

func TestMean(t *testing.T) {
	for _, test := range []struct {
		name string
		days map[int64]Day // by age
		want state.Decimal
	}{
		{"nothing known", nil, 950_000},
		{"one rejection", map[int64]Day{0: {Rejected: 1}}, 904_761},       // 19 / 21
		{"a month later", map[int64]Day{30: {Rejected: 1}}, 926_829},      // 19 / 20.5
		{"two months later", map[int64]Day{60: {Rejected: 1}}, 938_271},   // 19 / 20.25
		{"half a year later", map[int64]Day{180: {Rejected: 1}}, 950_000}, // forgotten
		{"mended by shipments", map[int64]Day{0: {Accepted: 19, Rejected: 1}}, 950_000},
		{"on several days", map[int64]Day{0: {Accepted: 4}, 30: {Rejected: 4}}, 884_615}, // 23 / 26
		{"no end", map[int64]Day{0: {Accepted: 1 << 62, Rejected: 1 << 62}}, 500_000},
	} {
		var p posterior
		for age, d := range test.days {
			p.add(age, &d)
		}
		if got := p.mean(); got != test.want {
			t.Errorf("%s: mean() = %s; want %s", test.name, got, test.want)
		}
	}
}

func TestWeightFalls(t *testing.T) {
	if got := weight(0); got != state.One {
		t.Errorf("weight(0) = %s; want 1", got)
	}
	for d := range int64(DaysKept) {
		if a, b := weight(d), weight(d+1); b >= a {
			t.Errorf("weight(%d) = %s, weight(%d) = %s; want less", d, a, d+1, b)
		}
		if half := weight(d + HalfLife); half != weight(d)/2 && half != 0 {
			t.Errorf("weight(%d) = %s; want half of weight(%d) = %s", d+HalfLife, half, d, weight(d))
		}
	}
}
