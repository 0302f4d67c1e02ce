package acceptance

import (
	"math/bits"

	"anabranch.dev/state"
)

// Before anything is known of it, a place is taken to reject one in twenty, with
// the weight of twenty shipments.
const (
	priorAccepted = 19 * state.One
	priorRejected = 1 * state.One
	// Usual is the acceptance of a place of which nothing is known.
	Usual = state.One * priorAccepted / (priorAccepted + priorRejected)
)

// HalfLife is the number of days after which a shipment or rejection counts one
// half.
const HalfLife = 30

// fading is 2^(-d/HalfLife) for the days of one half-life, in millionths.
var fading = [HalfLife]state.Decimal{
	1_000_000, 977_160, 954_842, 933_033, 911_722, 890_899, 870_551, 850_667, 831_238, 812_252,
	793_701, 775_572, 757_858, 740_549, 723_635, 707_107, 690_956, 675_175, 659_754, 644_685,
	629_961, 615_572, 601_513, 587_774, 574_349, 561_231, 548_412, 535_887, 523_647, 511_687,
}

// weight is what counts of something so many days ago, in millionths.
func weight(days int64) state.Decimal {
	if days >= DaysKept {
		return 0
	}
	return fading[days%HalfLife] >> (days / HalfLife)
}

// posterior is a Beta distribution beyond its prior: what was accepted and what
// rejected, faded.
type posterior struct{ accepted, rejected state.Decimal }

// maxCount is more than a place does in a day, and keeps sums far from overflow.
const maxCount = 1_000_000_000

func (p *posterior) add(age int64, d *Day) {
	w := weight(age)
	p.accepted += w * state.Decimal(min(d.Accepted, maxCount))
	p.rejected += w * state.Decimal(min(d.Rejected, maxCount))
}

// mean is (a + accepted) / (a + b + accepted + rejected), rounded down.
func (p posterior) mean() state.Decimal {
	accepted := uint64(priorAccepted + p.accepted)
	all := accepted + uint64(priorRejected+p.rejected)
	high, low := bits.Mul64(accepted, uint64(state.One))
	quotient, _ := bits.Div64(high, low, all)
	return state.Decimal(quotient)
}
