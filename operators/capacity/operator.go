package capacity

import (
	"strconv"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/hold"
	"anabranch.dev/state"
)

// Operator keeps the parcels of one location and day, its key; see [Key].
type Operator struct {
	Asked        operators.In[event.AvailabilityAsked]
	HoldAsked    operators.In[event.HoldAsked]
	HoldDecided  operators.In[event.HoldDecided]
	HoldReleased operators.In[event.HoldReleased]
	HoldSettled  operators.In[event.HoldSettled]

	Answered     operators.Out[event.AvailabilityAnswered] // key order
	HoldAnswered operators.Out[event.HoldAnswered]         // key order

	Locations operators.Broadcast[event.Location]

	Parcels operators.Query[Question, Answer]

	book      hold.Book
	days      operators.Table[Day]
	documents operators.Table[Document]
	again     operators.Timer // goes on with waiting claims that one call could not answer
}

// Day is the row of a location's day.
type Day struct {
	Sent  int64      `v:"sent"` // parcels that have left
	Marks hold.Marks `v:"marks"`
}

// Document is the tombstone of a shipment that was counted.
type Document struct {
	Time state.Time `v:"time"`
}

// DayKept is how long after its last change a day is remembered.
const DayKept = 93 * state.Day

// DocumentsKept is how long shipments are known.
const DocumentsKept = 31 * state.Day

const dateLayout = "2006-01-02"

// Key is the key of a location's day (UTC), such as "sanlitun/2026-11-21".
func Key(location string, day state.Time) string {
	return location + "/" + day.Wall().Format(dateLayout)
}

// locationOf is the location in a key.
func locationOf(key string) (string, error) {
	if cut := len(key) - len(dateLayout) - 1; cut > 0 && key[cut] == '/' {
		return key[:cut], nil
	}
	return "", operators.Rejectf(operators.CodeKeyInvalid, "no location and date: %q", key)
}

// Declare implements [operators.Operator].
func (o *Operator) Declare(d *operators.Declaration) {
	o.book.Declare(d)
	o.days = operators.Keeps[Day](d, "days", operators.Lifetime(DayKept))
	o.documents = operators.Keeps[Document](d, "documents", operators.Lifetime(DocumentsKept))

	o.Answered = operators.Emits[event.AvailabilityAnswered](d, "availability.answered")
	o.HoldAnswered = operators.Emits[event.HoldAnswered](d, "hold.answered")

	o.Asked = operators.OnRequest(d, "availability.asked", o.asked, o.Answered, hold.RefuseAvailability)
	o.HoldAsked = operators.OnRequest(d, "hold.asked", o.holdAsked, o.HoldAnswered, hold.RefuseHold)
	o.HoldDecided = operators.On(d, "hold.decided", o.holdDecided)
	o.HoldReleased = operators.On(d, "hold.released", o.holdReleased)
	o.HoldSettled = operators.On(d, "hold.settled", o.holdSettled)

	o.Locations = operators.Reads[event.Location](d, "locations")
	o.again = operators.OnTimer(d, "again", operators.LogClock, func(c operators.Context, _ string) error {
		return o.call(c, func(*day) error { return nil })
	})
	o.Parcels = operators.Answers(d, "parcels", o.answer)
}

// day is the working copy of one call; it implements [hold.Resource].
type day struct {
	o        *Operator
	c        operators.Context
	location string
	row      Day
	limit    int64 // of the location
}

// call runs fn on the day's row, answers claims whose turn has come and writes
// the row back.
func (o *Operator) call(c operators.Context, fn func(d *day) error) error {
	location, err := locationOf(c.Key())
	if err != nil {
		return err
	}
	d := &day{o: o, c: c, location: location, limit: o.limit(c, location)}
	d.row, _ = o.days.Get(c, "")
	before := d.row
	if err := fn(d); err != nil {
		return err
	}
	if d.row.Marks.Queued > 0 && o.book.Wake(c, d, d.place(), hold.MaxAnswers) == 0 {
		o.again.Set(c, "", c.LogTime())
	}
	if m := d.row.Marks; d.row.Sent < 0 || m.Undecided < 0 || m.Reserved < m.Undecided || m.Queued < 0 {
		panic("capacity: marks out of order")
	}
	if d.row != before {
		o.days.Set(c, "", d.row)
	}
	return nil
}

// limit is a location's parcels per day.
func (o *Operator) limit(r operators.Reader, location string) int64 {
	if l := o.Locations.Get(r, location); l != nil && !l.Deleted && l.DailyCapacity > 0 {
		return l.DailyCapacity
	}
	return event.Unlimited
}

func (d *day) place() hold.Place { return hold.Place{Location: d.location} }

// Limit implements [hold.Resource]. A claim on another location than the key's
// can never be granted.
func (d *day) Limit(p hold.Place) int64 {
	if p != d.place() {
		return 0
	}
	return max(0, d.limit-d.row.Sent)
}

// Marks implements [hold.Resource].
func (d *day) Marks(p hold.Place) *hold.Marks {
	if p != d.place() {
		return &hold.Marks{}
	}
	return &d.row.Marks
}

// Answer implements [hold.Resource].
func (d *day) Answer(claim *hold.Claim, granted bool, reason string) {
	a := &event.HoldAnswered{Order: claim.Order, Attempt: claim.Attempt, Round: claim.Round,
		Resource: d.c.Key(), Granted: granted, Reason: reason}
	if !granted {
		a.Places = d.available()
	}
	d.o.HoldAnswered.Emit(d.c, claim.Order, a)
}

func (d *day) available() []event.Available {
	return []event.Available{{Location: d.location, OnHand: d.limit, Reserved: d.row.Marks.Reserved,
		Withheld: d.row.Sent, ATP: max(0, d.Limit(d.place())-d.row.Marks.Reserved), Confidence: state.One,
		Undecided: d.row.Marks.Undecided}}
}

func (o *Operator) asked(c operators.Context, e *event.AvailabilityAsked) error {
	return o.call(c, func(d *day) error {
		o.Answered.Emit(c, e.Order, &event.AvailabilityAnswered{Order: e.Order, Attempt: e.Attempt,
			Round: e.Round, Resource: c.Key(), Places: d.available()})
		return nil
	})
}

// CodePartInvalid is the code of parts for another location or for a pool, or
// with a quantity that makes no sense.
const CodePartInvalid = hold.CodePartInvalid

func (o *Operator) holdAsked(c operators.Context, e *event.HoldAsked) error {
	return o.call(c, func(d *day) error {
		for _, p := range e.Parts {
			if p.Location != d.location || p.Pool != "" {
				return operators.Rejectf(CodePartInvalid, "parcels of %q asked of %q", p.Location, c.Key())
			}
		}
		return o.book.Ask(c, d, e)
	})
}

func (o *Operator) holdDecided(c operators.Context, e *event.HoldDecided) error {
	return o.call(c, func(d *day) error { return o.book.Decide(c, d, e) })
}

func (o *Operator) holdReleased(c operators.Context, e *event.HoldReleased) error {
	return o.call(c, func(d *day) error {
		o.book.Release(c, d, e)
		return nil
	})
}

// holdSettled counts parcels that have left, held or not.
func (o *Operator) holdSettled(c operators.Context, e *event.HoldSettled) error {
	return o.call(c, func(d *day) error {
		var sent []event.HoldPart
		for _, p := range e.Parts {
			if p.Quantity <= 0 || p.Quantity > hold.MaxQuantity {
				return operators.Rejectf(CodePartInvalid, "line %d: quantity %d", p.Line, p.Quantity)
			}
			key := hold.Key(e.Order, strconv.FormatInt(e.Attempt, 10), e.Document, strconv.FormatInt(p.Line, 10))
			if _, known := o.documents.Get(c, key); known {
				continue
			}
			o.documents.Set(c, key, Document{Time: c.EventTime()})
			d.row.Sent += p.Quantity
			sent = append(sent, p)
		}
		o.book.Settle(c, d, e.Order, e.Attempt, sent)
		return nil
	})
}

// Question ("parcels") asks for a day's parcels.
type Question struct {
	Holds int64 `v:"holds"` // list at most so many open holds
}

// Answer says how a day stands. Limit is [event.Unlimited] where there is none.
type Answer struct {
	Location string       `v:"location"`
	Limit    int64        `v:"limit"`
	Sent     int64        `v:"sent"`
	Reserved int64        `v:"reserved"`
	Waiting  int64        `v:"waiting"`
	Holds    []hold.Claim `v:"holds"`
}

func (o *Operator) answer(r operators.Reader, q *Question) (*Answer, error) {
	location, err := locationOf(r.Key())
	if err != nil {
		return nil, err
	}
	row, _ := o.days.Get(r, "")
	a := &Answer{Location: location, Limit: o.limit(r, location), Sent: row.Sent,
		Reserved: row.Marks.Reserved, Waiting: row.Marks.Queued}
	o.book.Open(r, func(claim *hold.Claim) bool {
		if int64(len(a.Holds)) >= q.Holds {
			return false
		}
		a.Holds = append(a.Holds, *claim)
		return true
	})
	return a, nil
}
