package event

import "anabranch.dev/state"

// Click is what a person does in a shop on a screen, one step at a time. All its
// types have the same fields, as far as they have a meaning there:
//
//   - product.searched: looked for Query, or in Category
//   - product.listed: was shown a list of Category, Brand or Campaign
//   - product.clicked, product.viewed: chose SKU from a list; saw its page
//   - product.favourited, product.unfavourited
//   - product.shared, product.reviewed
//   - cart.added, cart.removed: Quantity of SKU
//   - cart.viewed, checkout.started
//   - promotion.viewed, promotion.clicked: of Campaign
type Click struct {
	Session  string        `v:"session"` // an identifier of type session
	Customer []Identifier  `v:"customer"`
	Channel  string        `v:"channel"` // a channel class
	Location string        `v:"location"`
	SKU      string        `v:"sku"`
	Category string        `v:"category"`
	Brand    string        `v:"brand"`
	Campaign string        `v:"campaign"`
	Price    state.Decimal `v:"price"` // as it was shown
	Currency string        `v:"currency"`
	Quantity int64         `v:"quantity"`
	Query    string        `v:"query"`
	Found    int64         `v:"found"` // how many the search found
	Score    int64         `v:"score"` // of a review, as the shop counts
	URL      string        `v:"url"`   // without its query and fragment
}
