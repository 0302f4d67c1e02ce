// Package leader holds what only the leader of a group does, as state machines
// without clock, goroutine or I/O: the same code runs in production and in the
// simulator. Time, fetched records, applied entries and outcomes are handed in;
// what to do is handed out.
//
// A [Tenure] is one leadership, from its first applied entry on. It holds
//
//   - an [Intake] of [Source] machines, one per input partition this group
//     reads, which keep what is fetched and not yet applied and offer ranges;
//     under the replay clock it merges them strictly by event time;
//   - a [Proposer], which gathers ranges, lane messages, commands,
//     acknowledgements, inputs, controls and steps of moves into entries, and for
//     a moment leaves out what comes of other groups while they are copied;
//   - a [Delivery], which takes the outbox to Kafka, one transaction at a time;
//   - [Lanes], which sends messages to other groups until they are acknowledged.
//
// A new tenure begins with new machines and with what the core says after an
// entry of the new term has been applied; nothing survives from the old one.
// An old leader that doesn't know yet that it was deposed does no harm: its
// entries are not committed, its ranges no longer fit, and its sink is fenced.
//
// None of the machines may be used by two goroutines at once. [Decode] alone is
// a pure function and may run anywhere.
//
// The loop of a driver, in any order and as often as it likes:
//
//	for _, a := range t.Intake.Actions(now) { … tell the fetcher … }
//	t.Intake.Fetched(leader.Decode(decoder, alias, &fetch), now)
//	for e := t.Proposer.Next(now); e != nil; e = t.Proposer.Next(now) { … propose e … }
//	t.Applied(leader.Applied{…})      // every applied entry, in order
//	switch op := t.Delivery.Next(now); op.Kind { … }
//	t.Opened(…) or t.Sent(…)          // its outcome
//	for _, l := range t.Lanes.Next(now) { … send it to the leader of l.To's group … }
//	t.Proposer.Lane(l)                // from another group; Output.LaneAcks go back;
//	                                  // not taken for a shard that is not served here
//	t.LaneAcked(a)                    // from another group
//	… and again at t.WakeAt(now) at the latest
//
// Start at [Tenure].
package leader
