package event

// SaleCompleted ("sale.completed") is a till or web sale whose goods are gone.
type SaleCompleted struct {
	Receipt      string       `v:"receipt"`
	Channel      string       `v:"channel"`
	Location     string       `v:"location"`
	Pool         string       `v:"pool"` // empty: the location's first pool
	Staff        string       `v:"staff"`
	Currency     string       `v:"currency"`
	Customer     []Identifier `v:"customer"`
	PaymentToken string       `v:"payment_token"`
	Lines        []Line       `v:"lines"`
}
