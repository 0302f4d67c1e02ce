package sim

import (
	"slices"

	"anabranch.dev/state"
)

// wallOnly can't happen under the replay clock: it has no commands, its topics
// don't change and it has one entry in flight.
var wallOnly = []string{
	"command answered", "command retried", "offset out of range", "range refused", "entry for timers alone",
	"retention below the position", "retention passes the position", "gap skipped", "gap accepted by command", "gap refused",
	"partition added", "topic made anew", "topic made anew accepted by command", "topic made anew is read",
	"halt", "halt skipped",
}

// everywhere lists the faults and rare paths of any number of groups.
var everywhere = []string{
	"crash", "leader crashed", "no replica of a group left", "restart from snapshot", "restart from nothing",
	"snapshot installed from another replica", "snapshot installed on a lagging replica", "crash keeps all state", "node crashed",
	"tail of a log kept", "tail of a log lost", "clock of a leader jumps back", "clock of a leader jumps forward",
	"replica quarantined", "log replayed over a newer store", "leader changed",
	"deposed leader goes on", "replica stalled", "broker away", "snapshot", "halt", "halt skipped",
	"proposal of a deposed leader refused", "proposal lost in a crash", "proposal failed", "slow commit", "back-pressure",
	"entry for timers alone", "range refused", "partition assigned anew", "partition paused", "fetch lost", "offset out of range",
	"control record", "hole in an input", "retention below the position", "retention passes the position", "gap skipped",
	"gap accepted by command", "gap refused", "partition added", "topic made anew", "topic made anew accepted by command",
	"topic made anew is read", "duplicate event", "dead letter", "command answered", "command retried",
	"sink opened", "sink fenced", "sink could not be opened", "transaction failed", "outcome unknown: committed",
	"outcome unknown: late or never", "deposed leader delivers before it is fenced",
}

// acrossGroups lists those that need several groups.
var acrossGroups = []string{
	"lane message lost", "lane message delayed", "lane message doubled", "lane acknowledgement lost", "lane acknowledgement delayed",
	"lane acknowledgement doubled", "message to a deposed leader", "lane message sent again", "lane number applied before",
	"lane number too high", "lane message for a shard that is not here", "lane message kept out of the log", "lane message to the old owner",
	"move begun", "move done", "move called off", "move resumed: frozen", "move resumed: coming", "move resumed: leaving",
	"leader crashed in a move: frozen", "leader crashed in a move: coming", "leader crashed in a move: leaving",
	"import lost", "import delayed", "import doubled", "import not yet taken", "import of a piece that was taken",
	"import without an answer", "import refused", "command refused while its shard moves",
}

// rare lists the faults and rare paths that must have happened over a set of
// seeds.
func rare(groups int) []string {
	if groups == 1 {
		return slices.Clone(everywhere)
	}
	return slices.Concat(everywhere, acrossGroups)
}

// faults lets things go wrong until healing.
func (w *world) faults() {
	if w.healed != 0 {
		return
	}
	w.after(w.between(20*state.Millisecond, 600*state.Millisecond), func() {
		if w.healed == 0 {
			w.fault()
			w.faults()
		}
	})
}

// fault picks one thing that goes wrong.
func (w *world) fault() {
	g := w.groups[w.rng.IntN(len(w.groups))]
	r := g.replicas[w.rng.IntN(len(g.replicas))]
	n := w.rng.IntN(23)
	if w.off(faultKind(n)) {
		return
	}
	switch {
	case n < 6:
		if r.up {
			r.crash()
		}
	case n < 8:
		if l := g.leader; l != nil && l.alive {
			l.r.crash()
		}
	case n < 9:
		r.quarantine()
	case n < 10:
		w.crashNode(r.id)
	case n < 14:
		g.elect()
	case n < 15:
		w.count("broker away")
		w.kafka.away = w.now + w.between(0, 2*state.Second)
	case n < 18:
		w.count("replica stalled")
		r.stalled = w.now + w.between(0, state.Second)
	case n < 20:
		r.stalled = w.now + state.Second
		w.after(w.between(200*state.Millisecond, state.Second), r.install)
	case n < 22:
		g.jumpClock()
	default:
		g.halt()
	}
}

// faultKind says of which kind the things are that fault picks.
func faultKind(n int) string {
	switch {
	case n < 10:
		return Crashes
	case n < 14:
		return Elections
	case n < 15:
		return Brokers
	case n < 18:
		return Stalls
	case n < 20:
		return Installs
	case n < 22:
		return Clocks
	default:
		return Halts
	}
}

// crashNode takes a node down, with its replicas of all groups.
func (w *world) crashNode(node int) {
	w.count("node crashed")
	for _, g := range w.groups {
		if r := g.replicas[node]; r.up {
			r.crash()
		}
	}
}

// jumpClock sets the clock of whoever leads forward or back. Log time follows it
// forward, and never back.
func (g *group) jumpClock() {
	l := g.leader
	if l == nil || !l.alive {
		return
	}
	by := g.w.between(-10*state.Second, 10*state.Second)
	if by < 0 {
		g.w.count("clock of a leader jumps back")
	} else {
		g.w.count("clock of a leader jumps forward")
	}
	l.r.skew += by
	g.w.fastest += max(by, 0)
	g.w.tracef("g%d r%d: the clock jumps by %d us", g.id, l.r.id, by)
	l.drive()
}

// heal ends all trouble; from now on everything must get done.
func (w *world) heal() {
	if w.kafka.promised > 0 {
		w.after(100*state.Millisecond, w.heal)
		return
	}
	w.tracef("healed")
	w.healed, w.kafka.away = w.now, 0
	for _, g := range w.groups {
		for _, r := range g.replicas {
			r.stalled = 0
			r.restart()
		}
		if g.leader == nil || !g.leader.alive {
			g.elect()
		}
	}
}
