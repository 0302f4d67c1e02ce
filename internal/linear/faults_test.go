package linear

import (
	"context"
	"math/rand/v2"
	"time"
)

// trouble is what is done to a cluster, drawn from a seed.
type trouble struct {
	*cluster
	dice   *rand.Rand
	counts map[string]int
}

// faults are the kinds of it.
var faults = []struct {
	name string
	do   func(x *trouble, ctx context.Context) bool // false: there was nobody to do it to
}{
	{"leader killed", func(x *trouble, ctx context.Context) bool { return x.killOne(ctx, x.leader()) }},
	{"leader killed while its answers are late", func(x *trouble, ctx context.Context) bool { return x.killSlowly(ctx, x.leader()) }},
	{"leader killed while all are slow", func(x *trouble, ctx context.Context) bool { return x.killAllSlow(ctx, x.leader()) }},
	{"node killed", func(x *trouble, ctx context.Context) bool { return x.killOne(ctx, x.dice.IntN(nodes)) }},
	{"leader cut off", func(x *trouble, ctx context.Context) bool { return x.cutOff(ctx, x.leader(), true, true) }},
	{"leader not heard", func(x *trouble, ctx context.Context) bool { return x.cutOff(ctx, x.leader(), true, false) }},
	{"leader hears nothing", func(x *trouble, ctx context.Context) bool { return x.cutOff(ctx, x.leader(), false, true) }},
	{"node cut off", func(x *trouble, ctx context.Context) bool { return x.cutOff(ctx, x.dice.IntN(nodes), true, true) }},
	{"leader paused", func(x *trouble, ctx context.Context) bool { return x.pause(ctx, x.leader()) }},
	{"disks slow", func(x *trouble, ctx context.Context) bool { return x.slowDisks(ctx) }},
	{"answers late", func(x *trouble, ctx context.Context) bool { return x.slowDown(ctx, x.leader()) }},
	{"leadership handed over", func(x *trouble, ctx context.Context) bool { return x.handOver(ctx, x.leader()) }},
	{"handed over while answers are late", func(x *trouble, ctx context.Context) bool { return x.handOverSlowly(ctx, x.leader()) }},
}

// run makes trouble until ctx ends, then lets everything heal.
func (x *trouble) run(ctx context.Context) {
	for sleep(ctx, x.some(200, 800)) {
		f := faults[x.dice.IntN(len(faults))]
		if f.do(x, ctx) {
			x.counts[f.name]++
		}
	}
	x.net.heal()
	for i, m := range x.members {
		m.paused.Store(false)
		if m.life.Load() == nil {
			x.start(i)
		}
	}
}

// some is a time between two numbers of milliseconds.
func (x *trouble) some(least, most int) time.Duration {
	return time.Duration(least+x.dice.IntN(most-least)) * time.Millisecond
}

// killOne kills a node and starts it again.
func (x *trouble) killOne(ctx context.Context, i int) bool {
	if i < 0 {
		return false
	}
	x.kill(i, x.dice)
	sleep(ctx, x.some(50, 2500))
	x.start(i)
	return true
}

// killSlowly kills a node with much on its way from it: what it has said to some
// is not heard by others.
func (x *trouble) killSlowly(ctx context.Context, i int) bool {
	if i < 0 {
		return false
	}
	for _, p := range x.paths(i, true, false) {
		x.net.setSlow(p, 200*time.Millisecond)
	}
	sleep(ctx, x.some(100, 300))
	defer x.net.heal()
	return x.killOne(ctx, i)
}

// killAllSlow kills a leader while nobody hears anybody soon: the next one has
// to find out, slowly, what was acknowledged.
func (x *trouble) killAllSlow(ctx context.Context, i int) bool {
	if i < 0 {
		return false
	}
	for j := range x.members {
		if j != i {
			for _, p := range x.paths(j, true, false) {
				x.net.setSlow(p, 100*time.Millisecond)
			}
		}
	}
	sleep(ctx, x.some(100, 300))
	defer x.net.heal()
	return x.killOne(ctx, i)
}

// paths are those from a node, or to it.
func (x *trouble) paths(i int, from, to bool) (list []path) {
	for j, m := range x.members {
		if j == i {
			continue
		}
		if from {
			list = append(list, path{x.members[i].address, m.address})
		}
		if to {
			list = append(list, path{m.address, x.members[i].address})
		}
	}
	return list
}

// cutOff cuts what a node says, what it hears, or both.
func (x *trouble) cutOff(ctx context.Context, i int, from, to bool) bool {
	if i < 0 {
		return false
	}
	for _, p := range x.paths(i, from, to) {
		x.net.setCut(p, true)
	}
	sleep(ctx, x.some(200, 3000))
	x.net.heal()
	return true
}

// pause has a node answer nobody for a while, neither nodes nor clients.
func (x *trouble) pause(ctx context.Context, i int) bool {
	if i < 0 {
		return false
	}
	x.members[i].paused.Store(true)
	for _, p := range x.paths(i, true, true) {
		x.net.setCut(p, true)
	}
	sleep(ctx, x.some(100, 2000))
	x.members[i].paused.Store(false)
	x.net.heal()
	return true
}

// slowDisks has some logs be slow to write.
func (x *trouble) slowDisks(ctx context.Context) bool {
	for _, m := range x.members {
		if x.dice.IntN(2) == 0 {
			m.disk.slow.Store(int64(x.some(5, 300)))
		}
	}
	sleep(ctx, x.some(200, 2000))
	for _, m := range x.members {
		m.disk.slow.Store(0)
	}
	return true
}

// slowDown has everything that a node hears come late.
func (x *trouble) slowDown(ctx context.Context, i int) bool {
	if i < 0 {
		return false
	}
	late := x.some(20, 400)
	for _, p := range x.paths(i, false, true) {
		x.net.setSlow(p, late)
	}
	sleep(ctx, x.some(500, 2000))
	x.net.heal()
	return true
}

// handOver gives the leadership to another node.
func (x *trouble) handOver(ctx context.Context, i int) bool {
	if i < 0 {
		return false
	}
	l := x.members[i].life.Load()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return l.Transfer(ctx, 0, x.members[(i+1+x.dice.IntN(nodes-1))%nodes].name()) == nil
}

// handOverSlowly does so while what the leader hears comes late: it goes on
// believing that it leads when another does.
func (x *trouble) handOverSlowly(ctx context.Context, i int) bool {
	if i < 0 {
		return false
	}
	for _, p := range x.paths(i, false, true) {
		x.net.setSlow(p, 300*time.Millisecond)
	}
	sleep(ctx, x.some(10, 100))
	done := x.handOver(ctx, i)
	sleep(ctx, x.some(100, 500))
	x.net.heal()
	return done
}
