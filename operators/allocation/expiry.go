package allocation

import (
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// timerExpiry is the id of the timer that lets reservations expire.
const timerExpiry = "expiry"

// setExpiry asks to be called when reservations may expire.
func (o *Operator) setExpiry(c operators.Context, head *Head, at state.Time) {
	head.Expiry = at
	o.expiryTimer.Set(c, timerExpiry, at)
}

// recheck is when a reservation whose time has come is looked at again: while
// the order is being decided, or while the streams lag behind.
const recheck = state.Minute

// expire releases reservations that nobody shipped in time. Log time alone does
// not expire them: the watermark must have passed too, so that an outage can't
// expire what was shipped meanwhile.
func (o *Operator) expire(c operators.Context, _ string) error {
	head, known := o.heads.Get(c, rowHead)
	if !known || head.Expiry == 0 {
		return nil
	}
	now := min(c.LogTime(), c.Watermark())
	if head.State != Decided || now < head.Expiry {
		o.expiryTimer.Set(c, timerExpiry, c.LogTime()+recheck)
		return nil
	}
	var lines []Line
	for _, l := range o.listLines(nil, c, &head) {
		if len(l.Parts) > 0 {
			lines = append(lines, *l)
		}
	}
	u, released := o.undo(c, &head), o.total(&head, outcomeReleased)
	next := state.Time(0)
	for i := range lines {
		l := &lines[i]
		got := u.take(l, l.Reserved(), false, func(p *ReservedPart) bool { return p.Expires <= now })
		for _, p := range l.Parts {
			if next == 0 || p.Expires < next {
				next = p.Expires
			}
		}
		if got > 0 {
			l.Expired += got
			released.add(got, l.UnitPrice)
			o.setLine(c, &head, l)
		}
	}
	u.release(reasonExpired)
	u.shrinkParcels(reasonExpired)
	u.publish(reasonExpired)
	released.emit(c)
	head.Expiry = next
	if next != 0 {
		o.expiryTimer.Set(c, timerExpiry, next)
	}
	o.save(c, &head)
	return nil
}
