// Package capacity keeps how many parcels a location can still send on one day.
//
// It is the same protocol as stock, with one place and no pools: an order holds
// parcels, decides, and releases or settles them. The limit comes from the
// location's reference data and may change at any time; what was granted under
// an earlier limit stands. A location that reference data don't know or don't
// limit grants everything.
//
// Start at [Operator]; the protocol is in package hold.
package capacity

//go:generate go run anabranch.dev/internal/visitgen .
