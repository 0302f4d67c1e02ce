package event

import "anabranch.dev/state"

// ShadowCompared ("shadow.compared") tells the policy stage how an order would
// have fared under the shadow of the policy in force. Both chose from what was
// known when the attempt chose first.
type ShadowCompared struct {
	Name    string     `v:"name"` // of the policy
	Order   string     `v:"order"`
	Attempt int64      `v:"attempt"`
	Time    state.Time `v:"time"` // log time
	Version int64      `v:"version"`
	Shadow  int64      `v:"shadow"` // its version
	Same    bool       `v:"same"`
	Wanted  int64      `v:"wanted"` // units
	Chosen  Choice     `v:"chosen"` // what the policy in force chose
	Instead Choice     `v:"instead"`
}

// Choice is what a policy chose for an order.
type Choice struct {
	Filled int64         `v:"filled"` // units
	Cost   state.Decimal `v:"cost"`
	From   []string      `v:"from"`  // locations, the first eight
	Rules  []string      `v:"rules"` // that kept the order from stock, or added to what is chosen, the first eight
}
