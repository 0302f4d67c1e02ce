package inventory

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/hold"
)

// received adds goods from a supplier or, when a transfer is named, from
// transit. A receipt may come before its transfer: then the goods count as found
// until the transfer is heard of.
func (o *Operator) received(c operators.Context, e *event.StockReceived) error {
	if err := checkMoved(e.Location, e.Quantity); err != nil {
		return err
	}
	s := o.open(c)
	if !s.first("received", e.Document, e.Location, e.Pool) {
		return operators.ErrDuplicate
	}
	sh := s.find(e.Location, e.Pool)
	if e.Transfer == "" {
		s.book(sh, &s.accounts.Supplier, e.Quantity, c.EventTime())
		return s.close()
	}
	s.book(sh, &s.accounts.InTransit, e.Quantity, c.EventTime())
	t, _ := o.transfers.Get(c, e.Transfer)
	t.Document = e.Transfer
	s.keep(t, func(t *Transfer) { t.Received += e.Quantity }, sh)
	return s.close()
}

// transferred sends goods from one place to another. The document number of a
// transfer is unique per SKU.
func (o *Operator) transferred(c operators.Context, e *event.StockTransferred) error {
	if err := checkMoved(e.Location, e.Quantity); err != nil {
		return err
	}
	if err := checkPlace(e.To); err != nil {
		return err
	}
	if e.Document == "" {
		return operators.Rejectf(CodeDocumentMissing, "a transfer that no receipt could name")
	}
	s := o.open(c)
	t, _ := o.transfers.Get(c, e.Document)
	if t.Known || !s.first("transferred", e.Document) {
		return operators.ErrDuplicate
	}
	s.book(s.find(e.Location, e.Pool), &s.accounts.InTransit, -e.Quantity, c.EventTime())
	to := s.find(e.To, e.ToPool)
	s.keep(t, func(t *Transfer) {
		t.Document, t.Known, t.Sent, t.Arrives = e.Document, true, e.Quantity, e.Arrives
		t.Location, t.Pool = to.at.Location, to.at.Pool
	}, to)
	return s.close()
}

// keep changes a transfer and everything that follows from it: the mark where
// it is expected, its place in the dated supply, what counts as found because
// more was received than sent, and when it will be forgotten.
func (s *sheet) keep(t Transfer, change func(t *Transfer), seen *shelf) {
	coming, dated := t.Coming(), inboundKey(&t)
	change(&t)
	excess := max(0, t.Received-t.Sent) - t.Excess
	t.Excess += excess
	s.accounts.Found -= excess
	s.accounts.InTransit += excess
	if t.Known {
		s.shelf(hold.Place{Location: t.Location, Pool: t.Pool}).row.InTransit += t.Coming() - coming
		if t.Excess > 0 {
			s.discrepancy(seen, t.Sent, t.Received, t.Document)
		}
	}
	if now := inboundKey(&t); now != dated {
		if dated != "" {
			s.o.inbound.Delete(s.c, dated)
		}
		if now != "" {
			s.o.inbound.Set(s.c, now, Inbound{Document: t.Document})
		}
	}
	s.o.transfers.Set(s.c, t.Document, t)
	kept := TransferKept
	if t.Known && t.Coming() == 0 {
		kept = DocumentsKept
	}
	s.o.forgotten.Set(s.c, t.Document, s.c.LogTime()+kept)
}

// inboundKey is where a transfer stands in the dated supply, "" if it does not.
func inboundKey(t *Transfer) string {
	if t.Coming() == 0 || t.Arrives == 0 {
		return ""
	}
	return hold.Number(uint64(t.Arrives)^1<<63) + t.Document
}

// writeOff ends a transfer that was not heard of for long: what never came is
// shrink.
func (o *Operator) writeOff(c operators.Context, document string) error {
	t, known := o.transfers.Get(c, document)
	if !known {
		return nil
	}
	s := o.open(c)
	if lost := t.Coming(); lost > 0 {
		sh := s.shelf(hold.Place{Location: t.Location, Pool: t.Pool})
		sh.row.InTransit -= lost
		s.accounts.InTransit -= lost
		s.accounts.Shrink += lost
		s.alert(sh, t.Sent, t.Received, document)
		if key := inboundKey(&t); key != "" {
			o.inbound.Delete(c, key)
		}
	}
	o.transfers.Delete(c, document)
	return s.close()
}

// MaxInbound is how many dated arrivals an answer names, the earliest first.
const MaxInbound = 64

// comingIn lists the dated supply on its way.
func (o *Operator) comingIn(r operators.Reader) []event.Inbound {
	if o.inbound.Count(r) == 0 {
		return nil
	}
	return o.listInbound(r)
}

func (o *Operator) listInbound(r operators.Reader) []event.Inbound {
	var documents []string
	o.inbound.Scan(r, "", func(_ string, in *Inbound) bool {
		documents = append(documents, in.Document)
		return len(documents) < MaxInbound
	})
	in := make([]event.Inbound, 0, len(documents))
	for _, d := range documents {
		t, _ := o.transfers.Get(r, d)
		in = append(in, event.Inbound{Location: t.Location, Pool: t.Pool, Quantity: t.Coming(), Arrives: t.Arrives})
	}
	return in
}
