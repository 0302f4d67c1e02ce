package geo

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"anabranch.dev/state"
)

// reference is the haversine formula in floating point.
func reference(lat1, lon1, lat2, lon2 state.Decimal) float64 {
	rad := func(d state.Decimal) float64 { return float64(d) / 1e6 * math.Pi / 180 }
	sin2 := func(x float64) float64 { return math.Sin(x) * math.Sin(x) }
	h := sin2((rad(lat2)-rad(lat1))/2) + math.Cos(rad(lat1))*math.Cos(rad(lat2))*sin2((rad(lon2)-rad(lon1))/2)
	return 2 * Radius * math.Asin(math.Sqrt(min(1, h)))
}

func TestMetresIsTheHaversineFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lat := rapid.Int64Range(-90*degree, 90*degree)
		lon := rapid.Int64Range(-180*degree, 180*degree)
		a, b := state.Decimal(lat.Draw(t, "lat1")), state.Decimal(lon.Draw(t, "lon1"))
		c, d := state.Decimal(lat.Draw(t, "lat2")), state.Decimal(lon.Draw(t, "lon2"))
		if rapid.Bool().Draw(t, "near") {
			c = max(-90*degree, min(90*degree, a+c/100_000))
			d = b + d/100_000
		}
		got, want := Metres(a, b, c, d), reference(a, b, c, d)
		// Floating point itself loses metres close to the antipode.
		limit := 0.51
		if want > 20_000_000 {
			limit = 20
		}
		if diff := math.Abs(float64(got) - want); diff > limit {
			t.Fatalf("Metres(%v, %v, %v, %v) = %d; want %.2f", a, b, c, d, got, want)
		}
		if back := Metres(c, d, a, b); back != got {
			t.Fatalf("Metres is %d one way and %d the other", got, back)
		}
	})
}

func TestMetresOfKnownPlaces(t *testing.T) {
	for _, c := range []struct {
		name                   string
		lat1, lon1, lat2, lon2 state.Decimal
		want                   int64
	}{
		{"the same point", 39_930_000, 116_450_000, 39_930_000, 116_450_000, 0},
		{"one millionth of a degree north", 0, 0, 1, 0, 0},
		{"ten metres north", 0, 0, 90, 0, 10},
		{"a degree on the equator", 0, 0, 0, 1_000_000, 111_195},
		{"pole to pole", 90_000_000, 0, -90_000_000, 50_000_000, 20_015_115},
		{"over the date line", 0, 179_500_000, 0, -179_500_000, 111_195},
		{"a longitude that wraps", 0, 539_500_000, 0, -179_500_000, 111_195},
		{"a latitude beyond the pole", 95_000_000, 0, 90_000_000, 0, 0},
	} {
		if got := Metres(c.lat1, c.lon1, c.lat2, c.lon2); got != c.want {
			t.Errorf("%s: Metres = %d; want %d", c.name, got, c.want)
		}
	}
}

func FuzzMetres(f *testing.F) {
	f.Add(int64(math.MinInt64), int64(math.MaxInt64), int64(0), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, a, b, c, d int64) {
		m := Metres(state.Decimal(a), state.Decimal(b), state.Decimal(c), state.Decimal(d))
		if m < 0 || m > 20_015_115 {
			t.Fatalf("Metres(%d, %d, %d, %d) = %d", a, b, c, d, m)
		}
	})
}

func BenchmarkMetres(b *testing.B) {
	for b.Loop() {
		Metres(39_930_000, 116_450_000, 31_230_400, 121_473_700)
	}
}
