package reference

import (
	"slices"

	"anabranch.dev/operators"
	"anabranch.dev/operators/document"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// CodeInvalid is the code of a refused fact.
const CodeInvalid = "reference_invalid"

// Limits of a location.
const (
	maxPools    = 64
	maxCapacity = 1_000_000
	maxCost     = 1_000_000 * state.One
	maxHandling = 500 * state.One // times the units of an order it must not overflow
)

func refuse(format string, args ...any) error { return operators.Rejectf(CodeInvalid, format, args...) }

// checkName refuses ids that can't be part of a row key.
func checkName(row string) error { return document.CheckName("id", row) }

func checkLocation(e *event.Location) error {
	if e.Channel != "" && !slices.Contains(event.ChannelClasses, e.Channel) {
		return refuse("location %s: channel %q is none of %v", e.Location, e.Channel, event.ChannelClasses)
	}
	if abs(e.Lat) > 90*state.One || abs(e.Lon) > 180*state.One {
		return refuse("location %s: position %s, %s is not on earth", e.Location, e.Lat, e.Lon)
	}
	if e.DailyCapacity < 0 || e.DailyCapacity > maxCapacity {
		return refuse("location %s: daily capacity %d", e.Location, e.DailyCapacity)
	}
	if badCost(e.HandlingCost) || e.HandlingCost > maxHandling || badCost(e.ShippingCost) {
		return refuse("location %s: handling cost %s, shipping cost %s", e.Location, e.HandlingCost, e.ShippingCost)
	}
	if !clockTime(e.Opens) || !clockTime(e.Closes) {
		return refuse("location %s: opens %q, closes %q, want HH:MM", e.Location, e.Opens, e.Closes)
	}
	if len(e.Pools) > maxPools {
		return refuse("location %s: %d pools, at most %d", e.Location, len(e.Pools), maxPools)
	}
	for i, p := range e.Pools {
		if p == "" || slices.Contains(e.Pools[:i], p) {
			return refuse("location %s: pool %q is empty or there twice", e.Location, p)
		}
	}
	return nil
}

func checkProduct(e *event.Product) error {
	if badPrice(e.Price) {
		return refuse("product %s: price %s", e.SKU, e.Price)
	}
	if e.Currency != "" {
		if err := document.CheckCurrency(e.Currency); err != nil {
			return refuse("product %s: currency %q", e.SKU, e.Currency)
		}
	}
	if e.ReturnDays < 0 || e.SafetyStock < 0 || e.SafetyStock > document.MaxQuantity {
		return refuse("product %s: return days %d, safety stock %d", e.SKU, e.ReturnDays, e.SafetyStock)
	}
	return nil
}

func checkPrice(e *event.Price) error {
	if e.Channel != "" && !slices.Contains(event.ChannelClasses, e.Channel) {
		return refuse("price of %s: channel %q is none of %v", e.SKU, e.Channel, event.ChannelClasses)
	}
	if badPrice(e.Price) || document.CheckCurrency(e.Currency) != nil {
		return refuse("price of %s: %s %q", e.SKU, e.Price, e.Currency)
	}
	if e.Until != 0 && e.Until <= e.From {
		return refuse("price of %s: ends at %s, before it begins", e.SKU, e.Until)
	}
	return nil
}

func checkStaff(e *event.Staff) error {
	if e.Manager == e.Staff {
		return refuse("staff %s: is their own manager", e.Staff)
	}
	return nil
}

// badPrice allows for currencies whose units are small.
func badPrice(d state.Decimal) bool { return d < 0 || d > document.MaxAmount }

func badCost(d state.Decimal) bool { return d < 0 || d > maxCost }

func abs(d state.Decimal) state.Decimal {
	if d < 0 {
		return -d
	}
	return d
}

// clockTime says whether s is empty or HH:MM, 24:00 included.
func clockTime(s string) bool {
	if s == "" {
		return true
	}
	if len(s) != 5 || s[2] != ':' {
		return false
	}
	for _, i := range []int{0, 1, 3, 4} {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s[:2] < "24" && s[3] < '6' || s == "24:00"
}
