package event

import "anabranch.dev/state"

// Documents are unique per type, SKU, location and pool, a transfer's per SKU: a
// repeat within 31 days is a duplicate. An empty pool is the location's first.
// Quantities are at most 1,000,000.

// StockCounted ("stock.counted") sets what is on hand as of the event's time.
type StockCounted struct {
	SKU      string `v:"sku"`
	Location string `v:"location"`
	Pool     string `v:"pool"`
	Quantity int64  `v:"quantity"` // ≥ 0
	Document string `v:"document"`
}

// StockReceived ("stock.received") adds goods from a supplier or, when Transfer
// is set, from transit. It may arrive before the transfer itself.
type StockReceived struct {
	SKU      string `v:"sku"`
	Location string `v:"location"`
	Pool     string `v:"pool"`
	Quantity int64  `v:"quantity"` // > 0
	Document string `v:"document"`
	Transfer string `v:"transfer"` // document of the transfer it completes
}

// StockTransferred ("stock.transferred") sends goods from one place to another;
// they are in transit until received.
type StockTransferred struct {
	SKU      string     `v:"sku"`
	Location string     `v:"location"` // from
	Pool     string     `v:"pool"`
	To       string     `v:"to"`
	ToPool   string     `v:"to_pool"`
	Quantity int64      `v:"quantity"` // > 0
	Document string     `v:"document"` // required: receipts name it
	Arrives  state.Time `v:"arrives"`  // dated supply, if set
}

// StockAdjusted ("stock.adjusted") corrects what is on hand by a signed amount.
// Reason inspected puts returned goods on hand that waited for inspection.
type StockAdjusted struct {
	SKU      string `v:"sku"`
	Location string `v:"location"`
	Pool     string `v:"pool"`
	Quantity int64  `v:"quantity"` // ≠ 0
	Document string `v:"document"`
	Reason   string `v:"reason"`
}

// StockWithheld ("stock.withheld") keeps units back from being promised.
type StockWithheld struct {
	SKU      string `v:"sku"`
	Location string `v:"location"`
	Pool     string `v:"pool"`
	Quantity int64  `v:"quantity"` // > 0
	Document string `v:"document"`
}

// StockReleased ("stock.released") gives withheld units free again.
type StockReleased struct {
	SKU      string `v:"sku"`
	Location string `v:"location"`
	Pool     string `v:"pool"`
	Quantity int64  `v:"quantity"` // > 0
	Document string `v:"document"`
}
