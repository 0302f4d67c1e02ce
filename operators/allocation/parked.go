package allocation

import (
	"strings"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

// CodeTooManyParked refuses an event when too many wait for the same order.
const CodeTooManyParked = "too_many_parked"

const (
	// maxParked bounds the events that wait for one order.
	maxParked = 256
	// parkedLines is how many lines a parked row holds.
	parkedLines = 256
)

// park keeps an event until its order is decided. Parked events are applied in
// order of event time, then of arrival.
func (o *Operator) park(c operators.Context, p *Parked) error {
	events, number := 0, int64(0)
	o.parked.Scan(c, "", func(row string, _ *Parked) bool {
		if strings.HasSuffix(row, firstChunk) {
			events++
		}
		number = max(number, arrival(row))
		return true
	})
	if events == maxParked {
		return operators.Rejectf(CodeTooManyParked, "%d events wait for this order", events)
	}
	row := fixed(int64(p.Time), 19) + "/" + fixed(number+1, 10)
	lines := p.Lines
	for chunk := int64(0); chunk == 0 || len(lines) > 0; chunk++ {
		part := *p
		part.Lines = lines[:min(parkedLines, len(lines))]
		lines = lines[len(part.Lines):]
		o.parked.Set(c, row+"/"+fixed(chunk, 3), part)
	}
	return nil
}

// firstChunk ends the first row of each parked event.
const firstChunk = "/000"

// arrival is the number in a parked row's key: time, number, chunk.
func arrival(row string) int64 {
	var n int64
	for _, digit := range row[20:30] {
		n = n*10 + int64(digit-'0')
	}
	return n
}

// resumeParked tells the order to apply what it has parked, each event in a call
// of its own, so that one that can't be applied fails alone, and once.
func (o *Operator) resumeParked(c operators.Context) {
	if o.parked.Count(c) == 0 {
		return
	}
	o.tellParked(c)
}

func (o *Operator) tellParked(c operators.Context) {
	var rows []string
	var events []Parked
	o.parked.Scan(c, "", func(row string, p *Parked) bool {
		if event, first := strings.CutSuffix(row, firstChunk); first && !p.Told {
			rows = append(rows, event)
			events = append(events, *p)
		}
		return true
	})
	for i, row := range rows {
		events[i].Told = true
		o.parked.Set(c, row+firstChunk, events[i])
		o.Resume.Emit(c, c.Key(), &Resumed{Row: row})
	}
}

// resumed goes on with what an earlier call has left.
func (o *Operator) resumed(c operators.Context, e *Resumed) error {
	switch e.Row {
	case resumeRest:
		o.askBackorders(c)
		o.resumeParked(c)
		return nil
	case resumeBegin:
		head, known := o.heads.Get(c, rowHead)
		if known && head.State == Starting {
			o.begin(c, &head)
			o.save(c, &head)
		}
		return nil
	}
	return o.applyParked(c, e.Row)
}

// applyParked applies one parked event.
func (o *Operator) applyParked(c operators.Context, event string) error {
	p, rows := o.unpark(c, event)
	if p == nil {
		return nil
	}
	head, known := o.heads.Get(c, rowHead)
	if !known || head.State != Decided {
		again, _ := o.parked.Get(c, rows[0])
		again.Told = false
		o.parked.Set(c, rows[0], again) // until the running attempt is decided
		return nil
	}
	for _, row := range rows {
		o.parked.Delete(c, row)
	}
	return o.apply(c, &head, p)
}

// unpark puts a parked event together and lists its rows.
func (o *Operator) unpark(c operators.Context, prefix string) (*Parked, []string) {
	var whole *Parked
	var rows []string
	o.parked.Scan(c, prefix+"/", func(row string, p *Parked) bool {
		rows = append(rows, row)
		if whole == nil {
			first := *p
			first.Lines = append([]event.Line(nil), p.Lines...)
			whole = &first
			return true
		}
		whole.Lines = append(whole.Lines, p.Lines...)
		return true
	})
	return whole, rows
}

// askBackorders asks for every line that waits.
func (o *Operator) askBackorders(c operators.Context) {
	var asks []event.BackorderAsked
	head, _ := o.heads.Get(c, rowHead)
	for _, l := range o.listLines(nil, c, &head) {
		if l.Backordered > 0 {
			asks = append(asks, event.BackorderAsked{Order: c.Key(), SKU: l.SKU, Line: l.Line, Quantity: l.Backordered})
		}
	}
	for i := range asks {
		o.AskBackorder.Emit(c, asks[i].SKU, &asks[i])
	}
}
