package operators

// Counted is an event that is counted by its outcome when it goes out, in the
// metric anabranch_outbox_outcomes_total. There are few outcomes, fixed words;
// "" is not counted.
type Counted interface{ Outcome() string }
