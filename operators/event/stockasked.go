package event

// StockAsked ("stock.asked") says that somebody asked at a place for what may
// not be there: a guide for a customer, or a customer in a web shop.
type StockAsked struct {
	SKU      string       `v:"sku"`
	Location string       `v:"location"` // where it was asked for
	Pool     string       `v:"pool"`     // empty: any of the location's
	Quantity int64        `v:"quantity"` // 0 means 1
	Channel  string       `v:"channel"`
	Staff    string       `v:"staff"`
	Customer []Identifier `v:"customer"`
}
