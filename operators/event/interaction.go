package event

// StaffAssisted ("staff.assisted"): an employee has served a person.
type StaffAssisted struct {
	Staff    string       `v:"staff"`
	Customer []Identifier `v:"customer"`
	Channel  string       `v:"channel"`
	Location string       `v:"location"`
	SKU      string       `v:"sku"`
	Kind     string       `v:"kind"` // advice, fitting, contact_captured
	Reason   string       `v:"reason"`
}

// CodeScanned ("code.scanned"): a person has scanned a QR code in a store or of
// a campaign.
type CodeScanned struct {
	Code     string       `v:"code"` // what it stands for, no personal code
	Customer []Identifier `v:"customer"`
	Referrer []Identifier `v:"referrer"` // who passed it on
	Channel  string       `v:"channel"`
	Location string       `v:"location"`
	Zone     string       `v:"zone"`
	Staff    string       `v:"staff"` // whose code it is
	Campaign string       `v:"campaign"`
	SKU      string       `v:"sku"`
}

// AdShown ("ad.shown"): a person has seen an advertisement.
type AdShown struct {
	Customer []Identifier `v:"customer"`
	Channel  string       `v:"channel"`
	Medium   string       `v:"medium"` // video, banner, letter
	Platform string       `v:"platform"`
	Campaign string       `v:"campaign"`
	Brand    string       `v:"brand"`
	SKU      string       `v:"sku"`
	Location string       `v:"location"`
	Clicked  bool         `v:"clicked"`
}

// FeedbackGiven ("feedback.given"): a person has said how it was. What he wrote
// stays outside.
type FeedbackGiven struct {
	Customer []Identifier `v:"customer"`
	Channel  string       `v:"channel"`
	Location string       `v:"location"`
	Region   string       `v:"region"`
	Staff    string       `v:"staff"`
	Order    string       `v:"order"`
	SKU      string       `v:"sku"`
	Kind     string       `v:"kind"` // praise, complaint, wish
	Reason   string       `v:"reason"`
	Score    int64        `v:"score"` // as the asker counts
}

// CouponClaimed ("coupon.claimed"): a person wants a coupon of a campaign.
type CouponClaimed struct {
	Campaign string       `v:"campaign"`
	Customer []Identifier `v:"customer"`
	Channel  string       `v:"channel"`
	Location string       `v:"location"`
	District string       `v:"district"`
}

// CouponRedeemed ("coupon.redeemed"): a coupon is to be used.
type CouponRedeemed struct {
	Code     string       `v:"code"`
	Campaign string       `v:"campaign"`
	Customer []Identifier `v:"customer"`
	Channel  string       `v:"channel"`
	Location string       `v:"location"`
	Staff    string       `v:"staff"`
	Order    string       `v:"order"`   // what it is used for,
	Receipt  string       `v:"receipt"` // one of the two
}

// AlertAcknowledged ("alert.acknowledged"): somebody takes care of an alert.
type AlertAcknowledged struct {
	Alert  string `v:"alert"` // its decision id
	Staff  string `v:"staff"`
	Reason string `v:"reason"`
}

// AlertOutcome ("alert.outcome"): what came of an alert or offer.
type AlertOutcome struct {
	Alert   string `v:"alert"` // its decision id
	Staff   string `v:"staff"`
	Outcome string `v:"outcome"` // bought, declined, not_met, ignored
	Order   string `v:"order"`
	Receipt string `v:"receipt"`
	SKU     string `v:"sku"`
	Reason  string `v:"reason"`
}
