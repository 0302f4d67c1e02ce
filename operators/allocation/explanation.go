package allocation

import (
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// Decision is the row of a decision: what was decided, and the [facts] it was
// decided from. What it says in full is a [DecisionRow] and [LineExplanation]s.
type Decision struct {
	ID      string     `v:"id"`
	Attempt int64      `v:"attempt"`
	Round   int64      `v:"round"`
	Time    state.Time `v:"time"` // log time
	Failed  bool       `v:"failed"`
	Because string     `v:"because"`
	Policy  int64      `v:"policy"` // its version
	Cost    event.Cost `v:"cost"`
	Plan    []byte     `v:"plan"`  // facts about the plan
	Lines   []byte     `v:"lines"` // facts about lines, the first by number; others have rows of their own
}

// Explanation is facts about some more lines of a decision.
type Explanation struct {
	Facts []byte `v:"facts"`
}

// DecisionRow says in full what a decision was made from. The terms that are the
// same for every line stand here, what differs in each [LineExplanation].
type DecisionRow struct {
	ID       string          `v:"id"`
	Attempt  int64           `v:"attempt"`
	Round    int64           `v:"round"`
	Time     state.Time      `v:"time"` // log time
	Failed   bool            `v:"failed"`
	Because  string          `v:"because"`
	Policy   event.PolicyRef `v:"policy"`
	Origin   event.Origin    `v:"origin"`
	Cost     event.Cost      `v:"cost"`
	Compared int64           `v:"compared"` // plans that were worked out
	Pruned   int64           `v:"pruned"`   // plans that could not be better by their lower bound
	Plans    []PlanCost      `v:"plans"`    // the best of those compared, best first
	Places   []PlaceTerms    `v:"places"`   // candidates and what they cost
	Bound    string          `v:"bound"`    // what excluded the other places, if there were more
}

// PlanCost is one compared plan.
type PlanCost struct {
	Locations []string      `v:"locations"`
	Unfilled  int64         `v:"unfilled"`
	Total     state.Decimal `v:"total"`
}

// PlaceTerms are a candidate's cost terms. A plan costs, for each place it uses,
// Shipping + Distance + Capacity + Acceptance + Rules, plus the units it takes there × Handling, plus
// Split for each place after the first.
type PlaceTerms struct {
	Location    string        `v:"location"`
	Metres      int64         `v:"metres"`   // great-circle distance to the destination
	Shipping    state.Decimal `v:"shipping"` // per parcel
	Distance    state.Decimal `v:"distance"` // per parcel
	Capacity    state.Decimal `v:"capacity"` // per parcel
	Split       state.Decimal `v:"split"`    // per parcel after the first
	Handling    state.Decimal `v:"handling"` // per unit
	Opportunity state.Decimal `v:"opportunity"`
	Markdown    state.Decimal `v:"markdown"`
	Fills       int64         `v:"fills"` // units it could fill alone
	Alone       state.Decimal `v:"alone"` // what that would cost
	Free        int64         `v:"free"`  // parcels left today, -1 when not limited
	Chosen      bool          `v:"chosen"`
	Why         string        `v:"why"`        // why it was not chosen
	Acceptance  state.Decimal `v:"acceptance"` // per parcel: what its rejections are expected to cost
	Rules       state.Decimal `v:"rules"`      // per parcel: the sum of what rules have added
	Added       []RuleCost    `v:"added"`
}

// RuleCost is what a rule of the policy adds to a parcel.
type RuleCost struct {
	Rule string        `v:"rule"` // and why it could not be worked out, if so
	Cost state.Decimal `v:"cost"`
}

// LineExplanation says why one line is served as it is.
type LineExplanation struct {
	Line       int64         `v:"line"`
	SKU        string        `v:"sku"`
	Quantity   int64         `v:"quantity"`
	Outcome    string        `v:"outcome"`
	Reason     string        `v:"reason"`
	Parts      []event.Part  `v:"parts"`
	Candidates []LineOffered `v:"candidates"`
	Omitted    int64         `v:"omitted"` // places that did not fit into the row
}

// LineOffered is one place and pool that has the line's SKU.
type LineOffered struct {
	Location   string        `v:"location"`
	Pool       string        `v:"pool"`
	OnHand     int64         `v:"on_hand"`
	Reserved   int64         `v:"reserved"`
	Withheld   int64         `v:"withheld"`
	Safety     int64         `v:"safety_stock"`
	ATP        int64         `v:"atp"`
	Confidence state.Decimal `v:"confidence"`
	Taken      int64         `v:"taken"`
	Why        string        `v:"why"` // why not, or why no more: short, rule:<name>, rejected, capacity, dearer by …
}

// OrderQuestion asks for an order; the key is its number.
type OrderQuestion struct {
	Explained bool `v:"explained"` // with the decision rows
}

// OrderState answers an [OrderQuestion].
type OrderState struct {
	Order      string        `v:"order"`
	State      string        `v:"state"`
	Attempt    int64         `v:"attempt"`
	Round      int64         `v:"round"`
	Placed     state.Time    `v:"placed"`
	Currency   string        `v:"currency"`
	Origin     event.Origin  `v:"origin"`
	PromisedBy state.Time    `v:"promised_by"`
	Backorder  bool          `v:"backorder"`
	Reserved   int64         `v:"reserved"`
	Lines      []Line        `v:"lines"`
	Decisions  []DecisionRow `v:"decisions"` // the kept ones, oldest first
}

// DecisionQuestion asks for a decision; the key is its order.
type DecisionQuestion struct {
	ID string `v:"id"` // decision id; empty: the latest kept one
}

// DecisionState answers a [DecisionQuestion].
type DecisionState struct {
	Order    string            `v:"order"`
	Decision DecisionRow       `v:"decision"`
	Lines    []LineExplanation `v:"lines"`
}
