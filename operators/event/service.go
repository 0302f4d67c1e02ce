package event

// ServiceContacted ("service.contacted"): a person asks for service.
type ServiceContacted struct {
	Customer []Identifier `v:"customer"`
	Medium   string       `v:"medium"` // text, phone, video
	Kind     string       `v:"kind"`   // what it is about
	Case     string       `v:"case"`
	Order    string       `v:"order"`
	SKU      string       `v:"sku"`
	Channel  string       `v:"channel"`
	Location string       `v:"location"`
	Skill    string       `v:"skill"`  // that an agent needs for it
	Person   bool         `v:"person"` // no robot, please
}

// ServiceResolved ("service.resolved"): a case is closed.
type ServiceResolved struct {
	Case     string       `v:"case"`
	Customer []Identifier `v:"customer"`
	Staff    string       `v:"staff"`
	Order    string       `v:"order"`
	Outcome  string       `v:"outcome"` // solved, refunded, given_up
	Reason   string       `v:"reason"`
}

// AgentStatus ("agent.status"): what a service agent can take on.
type AgentStatus struct {
	Staff     string   `v:"staff"`
	Available bool     `v:"available"`
	Suspended bool     `v:"suspended"` // gets nothing, not even from his own customers
	Capacity  int64    `v:"capacity"`  // contacts at a time
	Skills    []string `v:"skills"`
	Reason    string   `v:"reason"`
}

// SocialPosted ("social.posted"): a person has written about us in public. What
// he wrote stays outside.
type SocialPosted struct {
	Customer []Identifier `v:"customer"`
	Platform string       `v:"platform"`
	Post     string       `v:"post"`
	Kind     string       `v:"kind"` // praise, complaint, question
	Reason   string       `v:"reason"`
	Brand    string       `v:"brand"`
	SKU      string       `v:"sku"`
	Order    string       `v:"order"`
	Location string       `v:"location"`
}

// SocialFollowed ("social.followed"): a person follows a brand, or no more.
type SocialFollowed struct {
	Customer []Identifier `v:"customer"`
	Platform string       `v:"platform"`
	Brand    string       `v:"brand"`
	Ended    bool         `v:"ended"`
}

// SocialShared ("social.shared"): a person has passed something of ours on.
type SocialShared struct {
	Customer []Identifier `v:"customer"`
	Platform string       `v:"platform"`
	Post     string       `v:"post"`
	Brand    string       `v:"brand"`
	SKU      string       `v:"sku"`
	Campaign string       `v:"campaign"`
	URL      string       `v:"url"` // without its query and fragment
}
