// Package event holds every event type: pure data, no logic.
//
// Files: order.go, sale.go, stock.go, sighting.go, click.go, identity.go,
// interaction.go and service.go are what comes from outside; reference.go and
// surroundings.go the slowly changing facts; policy.go the rules; decision.go what
// goes out; hold.go what operators say to each other.
//
// A struct holds what is particular to its type. The envelope (id, source,
// type, time) travels beside it, and the type's name is the name of the port it
// flows through. Tags name fields as they appear on the wire.
//
// Money is in millionths of the currency, quantities are whole units, positions
// are in millionths of a degree (WGS 84).
package event

//go:generate go run anabranch.dev/internal/visitgen .
