package event

import "anabranch.dev/state"

// Reader ("reader") says where an antenna of an RFID reader looks.
type Reader struct {
	Reader   string `v:"reader"`
	Antenna  int64  `v:"antenna"`
	Location string `v:"location"`
	Zone     string `v:"zone"`
	Role     string `v:"role"` // shelf, fitting, till, exit, dock
	Deleted  bool   `v:"deleted"`
}

// Beacon ("beacon") says where a beacon stands.
type Beacon struct {
	Beacon   string `v:"beacon"`   // uuid/major/minor, or namespace/instance
	Location string `v:"location"` // empty: in no place of ours
	Zone     string `v:"zone"`
	District string `v:"district"`
	Deleted  bool   `v:"deleted"`
}

// District ("district") describes a neighbourhood: a mall, a street, a quarter.
type District struct {
	District string        `v:"district"`
	Name     string        `v:"name"`
	Region   string        `v:"region"`
	City     string        `v:"city"`
	Lat      state.Decimal `v:"lat"`
	Lon      state.Decimal `v:"lon"`
	Radius   int64         `v:"radius_m"`
	Deleted  bool          `v:"deleted"`
}

// Campaign ("campaign") describes a campaign and what it may give away.
type Campaign struct {
	Campaign  string     `v:"campaign"`
	Name      string     `v:"name"`
	Brands    []string   `v:"brands"`
	Locations []string   `v:"locations"` // empty, and no districts: everywhere
	Districts []string   `v:"districts"`
	From      state.Time `v:"from"`
	Until     state.Time `v:"until"`
	Budget    int64      `v:"budget"`     // coupons in all
	PerPerson int64      `v:"per_person"` // coupons
	Deleted   bool       `v:"deleted"`
}
