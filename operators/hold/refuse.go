package hold

import "anabranch.dev/operators/event"

// Fault is the prefix of the reason for which a request was refused because it
// could not be processed; its code follows.
const Fault = "fault:"

// RefuseHold is the answer to a hold request that failed with code.
func RefuseHold(e *event.HoldAsked, code string) (key string, answer *event.HoldAnswered) {
	return e.Order, &event.HoldAnswered{Order: e.Order, Attempt: e.Attempt, Round: e.Round,
		Resource: e.Resource, Reason: Fault + code}
}

// RefuseAvailability is the answer to a question that failed with code.
func RefuseAvailability(e *event.AvailabilityAsked, code string) (key string, answer *event.AvailabilityAnswered) {
	return e.Order, &event.AvailabilityAnswered{Order: e.Order, Attempt: e.Attempt, Round: e.Round,
		Resource: e.Resource, Fault: code}
}
