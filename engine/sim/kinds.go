package sim

import "slices"

// Kinds of what goes wrong, which a [Config] can switch off one by one.
const (
	Crashes   = "crashes"   // of replicas and of nodes
	Elections = "elections" // of other leaders while the old ones live
	Tails     = "tails"     // what a deposed leader had on the way stands in the log
	Installs  = "installs"  // of snapshots on replicas that lag
	Halts     = "halts"     // groups stopped by an entry that nobody can apply
	Stalls    = "stalls"    // replicas that apply nothing for a while
	Clocks    = "clocks"    // leaders' clocks jump
	Brokers   = "brokers"   // Kafka away, transactions failed or of unknown outcome
	Topics    = "topics"    // input lost, topics made anew and enlarged
	Networks  = "networks"  // messages between groups lost, late and doubled
	Moves     = "moves"     // of shards
)

// Kinds lists all kinds of what goes wrong.
func Kinds() []string {
	return []string{Crashes, Elections, Tails, Installs, Halts, Stalls, Clocks, Brokers, Topics, Networks, Moves}
}

// off reports whether a kind is switched off.
func (w *world) off(kind string) bool { return slices.Contains(w.cfg.Without, kind) }
