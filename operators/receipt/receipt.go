// Package receipt turns a completed sale into movements of goods.
//
// A sale happened: it is never refused for lack of stock. Its receipt number is
// a business key, so a till that sends a receipt again within 31 days sells
// nothing twice.
//
// Start at [Operator].
package receipt

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/document"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

//go:generate go run anabranch.dev/internal/visitgen .

// Remembered is how long a receipt number is known.
const Remembered = 31 * state.Day

// Operator books sales. Its key is a receipt number.
type Operator struct {
	Sold operators.In[event.SaleCompleted]

	Moved  operators.Out[event.GoodsMoved]  // to each line's SKU
	Totals operators.Out[event.TotalsAdded] // to the currency

	receipts operators.Table[Receipt]
}

// Receipt is what is remembered of a sale.
type Receipt struct {
	Time  state.Time `v:"time"` // of the sale
	Lines int64      `v:"lines"`
}

const rowReceipt = "receipt"

// Declare implements operators.Operator.
func (o *Operator) Declare(d *operators.Declaration) {
	o.receipts = operators.Keeps[Receipt](d, "receipts", operators.MaxRows(1), operators.Lifetime(Remembered))
	o.Moved = operators.Emits[event.GoodsMoved](d, "goods.moved")
	o.Totals = operators.Emits[event.TotalsAdded](d, "totals.added")
	o.Sold = operators.On(d, "sale.completed", o.sold)
}

func (o *Operator) sold(c operators.Context, e *event.SaleCompleted) error {
	if _, known := o.receipts.Get(c, rowReceipt); known {
		return operators.ErrDuplicate
	}
	if err := check(e); err != nil {
		return err
	}
	total := event.TotalsAdded{Currency: e.Currency, Outcome: "sold", Documents: 1, Lines: int64(len(e.Lines))}
	for i := range e.Lines {
		l := &e.Lines[i]
		total.Units += l.Quantity
		total.Amount += document.Amount(l)
		o.Moved.Emit(c, l.SKU, &event.GoodsMoved{
			SKU: l.SKU, Kind: "sale", Document: e.Receipt, Line: l.Line,
			Location: e.Location, Pool: e.Pool, Quantity: l.Quantity,
		})
	}
	o.Totals.Emit(c, e.Currency, &total)
	o.receipts.Set(c, rowReceipt, Receipt{Time: c.EventTime(), Lines: int64(len(e.Lines))})
	return nil
}

// check refuses sales that make no sense.
func check(e *event.SaleCompleted) error {
	if err := document.CheckChannel(e.Channel); err != nil {
		return err
	}
	if err := document.CheckCurrency(e.Currency); err != nil {
		return err
	}
	if err := document.CheckName("location", e.Location); err != nil {
		return err
	}
	return document.CheckLines(e.Lines, 1)
}
