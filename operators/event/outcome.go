package event

// Outcomes of records beside those of a line.
const (
	Partial  = "partial"  // a decision with failed lines and others
	Oversold = "oversold" // a stock level with a promise that the stock can't keep
)

// Outcome is what became of the order: allocated as a whole, backordered in
// part, [Partial], or failed.
func (e *AllocationDecided) Outcome() string {
	failed, backordered := 0, 0
	for i := range e.Lines {
		switch e.Lines[i].Outcome {
		case Failed:
			failed++
		case Backordered:
			backordered++
		}
	}
	switch {
	case failed == len(e.Lines):
		return Failed
	case failed > 0:
		return Partial
	case backordered > 0:
		return Backordered
	}
	return Allocated
}

// Outcome is [Oversold] if more is reserved than there is. Goods that are gone
// by a physical event are taken from orders in the same entry, so that a level
// shows it only for as long as their groups need to answer.
func (e *StockLevel) Outcome() string {
	if e.Reserved > e.OnHand {
		return Oversold
	}
	return ""
}
