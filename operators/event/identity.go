package event

// IdentityLinked ("identity.linked") says that identifiers belong to one person.
type IdentityLinked struct {
	Identifiers   []Identifier `v:"identifiers"`   // at least two
	Authenticated bool         `v:"authenticated"` // the person proved it
	Rule          string       `v:"rule"`          // how it is known: qr_scan, login
	Reason        string       `v:"reason"`
}

// IdentitySplit ("identity.split") takes back that identifiers belong to one
// person: the links between them, or those of one rule.
type IdentitySplit struct {
	Identifiers []Identifier `v:"identifiers"` // at least two
	Rule        string       `v:"rule"`        // empty: whatever they were linked by
	Reason      string       `v:"reason"`
}

// ConsentChanged ("consent.changed") says what a person allows from now on.
type ConsentChanged struct {
	Identifiers []Identifier `v:"identifiers"`
	Purpose     string       `v:"purpose"` // marketing, profiling, automated_decision
	Medium      string       `v:"medium"`  // push, email, phone; empty: all
	Brand       string       `v:"brand"`   // empty: all
	Granted     bool         `v:"granted"`
	Reason      string       `v:"reason"`
}

// SubjectErased ("subject.erased") asks that nothing be left of a person.
type SubjectErased struct {
	Identifiers []Identifier `v:"identifiers"`
	Document    string       `v:"document"` // the request's own number
	Reason      string       `v:"reason"`
}
