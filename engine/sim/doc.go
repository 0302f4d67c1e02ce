// Package sim runs whole clusters in one goroutine: the production core and the
// production machines of engine/leader over a simulated log, network, Kafka and
// clock, with crashes, deposed leaders, lost and doubled messages, fenced sinks
// and unknown outcomes, with input that is lost, topics made anew, halted groups
// and shards on the move, all drawn from one seed. A seed's run is the same to
// the last bit on every machine.
//
// It knows no business: a [Workload] brings the topology and its input, and
// [Checker] functions judge the end. The invariants of the engine itself
// (replicas agree, every decision once and in order, every input accounted for,
// the state is what a single-threaded model computes from the same inputs,
// everything is done in time after healing) are checked in every run.
//
// The log is ideal: one sequence per group to which the leader of the newest
// term appends. What real replication adds is tested in engine/group.
//
// Start at [Run]; the event loop is in world.go, what goes wrong in fault.go and
// trouble.go, moves in moves.go, what must hold in check.go, gaps.go and model.go.
package sim
