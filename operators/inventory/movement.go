package inventory

import (
	"strconv"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

// Codes of rejected events.
const (
	CodeLocationMissing = "location_missing"
	CodeQuantityInvalid = "quantity_invalid" // zero, negative or above a million
	CodeDocumentMissing = "document_missing" // a transfer without a number
	CodeKindUnknown     = "kind_unknown"     // goods moved in a way we don't know
	CodeNotWithheld     = "not_withheld"     // more released than is withheld
)

func checkPlace(location string) error {
	if location == "" {
		return operators.Rejectf(CodeLocationMissing, "no location")
	}
	return nil
}

func quantityInvalid(q int64) error {
	return operators.Rejectf(CodeQuantityInvalid, "quantity %d", q)
}

// checkMoved checks what events about a positive quantity have in common.
func checkMoved(location string, q int64) error {
	if err := checkPlace(location); err != nil {
		return err
	}
	if q <= 0 || q > MaxQuantity {
		return quantityInvalid(q)
	}
	return nil
}

// ReasonInspected is the reason of an adjustment that takes returned goods from
// inspection onto the shelf.
const ReasonInspected = "inspected"

// adjusted corrects what is on hand: less goes to shrink, more comes from
// found, or from what waits for inspection.
func (o *Operator) adjusted(c operators.Context, e *event.StockAdjusted) error {
	if err := checkPlace(e.Location); err != nil {
		return err
	}
	if e.Quantity == 0 || e.Quantity > MaxQuantity || e.Quantity < -MaxQuantity {
		return quantityInvalid(e.Quantity)
	}
	s := o.open(c)
	if !s.first("adjusted", e.Document, e.Location, e.Pool) {
		return operators.ErrDuplicate
	}
	sh, rest := s.find(e.Location, e.Pool), e.Quantity
	if rest < 0 {
		s.book(sh, &s.accounts.Shrink, rest, c.EventTime())
		return s.close()
	}
	if inspected := min(rest, s.accounts.Returned); e.Reason == ReasonInspected && inspected > 0 {
		s.book(sh, &s.accounts.Returned, inspected, c.EventTime())
		rest -= inspected
	}
	if rest > 0 {
		s.book(sh, &s.accounts.Found, rest, c.EventTime())
	}
	return s.close()
}

func (o *Operator) withheld(c operators.Context, e *event.StockWithheld) error {
	if err := checkMoved(e.Location, e.Quantity); err != nil {
		return err
	}
	s := o.open(c)
	if !s.first("withheld", e.Document, e.Location, e.Pool) {
		return operators.ErrDuplicate
	}
	s.find(e.Location, e.Pool).row.Withheld += e.Quantity
	return s.close()
}

func (o *Operator) released(c operators.Context, e *event.StockReleased) error {
	if err := checkMoved(e.Location, e.Quantity); err != nil {
		return err
	}
	s := o.open(c)
	if !s.first("released", e.Document, e.Location, e.Pool) {
		return operators.ErrDuplicate
	}
	sh := s.find(e.Location, e.Pool)
	if e.Quantity > sh.row.Withheld {
		return operators.Rejectf(CodeNotWithheld, "%s: %d released, %d withheld", sh.at.Location, e.Quantity, sh.row.Withheld)
	}
	sh.row.Withheld -= e.Quantity
	return s.close()
}

// Kinds of goods moved outside a reservation.
const (
	KindSale   = "sale"
	KindReturn = "return"
)

// moved books a till sale or a return. The event is derived, so a repeat is
// ignored.
func (o *Operator) moved(c operators.Context, e *event.GoodsMoved) error {
	if err := checkMoved(e.Location, e.Quantity); err != nil {
		return err
	}
	if e.Kind != KindSale && e.Kind != KindReturn {
		return operators.Rejectf(CodeKindUnknown, "goods moved by %q", e.Kind)
	}
	s := o.open(c)
	if !s.first(e.Kind, e.Document, strconv.FormatInt(e.Line, 10)) {
		return nil
	}
	sh := s.find(e.Location, e.Pool)
	if e.Kind == KindSale {
		s.book(sh, &s.accounts.Sold, -e.Quantity, c.EventTime())
		return s.close()
	}
	s.accounts.Sold -= e.Quantity
	s.accounts.Returned += e.Quantity
	if !s.rules.inspect {
		s.book(sh, &s.accounts.Returned, e.Quantity, c.EventTime())
	}
	return s.close()
}
