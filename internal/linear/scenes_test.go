package linear

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// staged is a cluster with a shop that only does what a test tells it to.
type staged struct {
	*trouble
	*Shop
	ctx context.Context
}

// stage plays a scene in a bubble, and returns what is wrong with what clients
// were answered.
func stage(t *testing.T, seed uint64, scene func(s *staged)) []error {
	t.Helper()
	shop := &Shop{Nodes: nodes, Seed: seed, Timeout: 1500 * time.Millisecond, History: &History{}}
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, seed)
		shop.API = c.api
		ctx, cancel := context.WithTimeout(t.Context(), healed)
		defer cancel()
		if err := shop.Open(ctx); err != nil {
			t.Fatal(err)
		}
		scene(&staged{trouble: &trouble{cluster: c, dice: rand.New(rand.NewPCG(seed, 2))}, Shop: shop, ctx: ctx})
		c.end()
	})
	return shop.History.Check()
}

// readAt has ever more clients read at a node, one every so often, until the
// function it returns is called, which waits for their answers.
func (s *staged) readAt(node int, every time.Duration) (enough func()) {
	var asked sync.WaitGroup
	reading, stop := context.WithCancel(s.ctx)
	asked.Go(func() {
		for i := 1; sleep(reading, every); i++ {
			asked.Go(func() { s.client(i).read(s.ctx, node, Counted, false) })
		}
	})
	return func() {
		stop()
		asked.Wait()
	}
}

// handOverTo has a node lead, and reports whether it came to that.
func (s *staged) handOverTo(node int) bool {
	lead := s.leader()
	if lead < 0 {
		return false
	}
	l := s.members[lead].life.Load()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Transfer(s.ctx, 0, s.members[node].name()) // it learns late, or never, that it was understood
	}()
	defer func() { <-done }()
	for s.role(node) != "leader" {
		if !sleep(s.ctx, time.Millisecond) {
			return false
		}
	}
	return true
}

// receiveAt has goods come in through a node.
func (s *staged) receiveAt(node int) {
	c := s.client(0)
	c.receive(s.ctx, node, c.receipt(Counted))
}

// lateAnswers has many clients read at a leader that hears everything late, while
// it hands over and goods come in at the next one.
func lateAnswers(s *staged) {
	old := s.leader()
	for _, p := range s.paths(old, false, true) {
		s.net.setSlow(p, 300*time.Millisecond)
	}
	sleep(s.ctx, time.Second) // answers are on their way
	next := (old + 1) % nodes
	enough := s.readAt(old, 3*time.Millisecond)
	var both sync.WaitGroup
	both.Go(func() { s.handOverTo(next) })
	for s.role(next) != "leader" && sleep(s.ctx, time.Millisecond) {
	}
	s.receiveAt(next)
	sleep(s.ctx, 400*time.Millisecond)
	enough()
	both.Wait()
}

// newLeader has clients read at nodes one of which becomes the leader, just after
// goods came in at the one before: on slow disks, while its heartbeats are quick,
// it takes a while to find out that they have.
func newLeader(s *staged) {
	old := s.leader()
	sleep(s.ctx, time.Second)
	s.receiveAt(old)
	var enough []func()
	for i, m := range s.members {
		if i != old {
			m.disk.slow.Store(int64(200 * time.Millisecond))
			enough = append(enough, s.readAt(i, 20*time.Millisecond))
		}
	}
	s.kill(old, s.dice)
	for s.leader() < 0 && sleep(s.ctx, time.Millisecond) {
	}
	sleep(s.ctx, 600*time.Millisecond)
	for _, f := range enough {
		f()
	}
	for _, m := range s.members {
		m.disk.slow.Store(0)
	}
}

// twice has the same command carried out under one leader after the other.
func twice(s *staged) {
	c := s.client(0)
	goods := c.receipt(Counted)
	order := Operation{Kind: Place, SKU: Scarce[0], Command: Rivals * s.History.Number(Scarce[0]), Content: 1, Quantity: 1}
	for range nodes {
		lead := s.leader()
		if lead < 0 {
			return
		}
		next := (lead + 1) % nodes
		c.receive(s.ctx, lead, goods)
		c.place(s.ctx, next, order)
		if !s.handOverTo(next) {
			return
		}
		c.receive(s.ctx, next, goods)
		c.place(s.ctx, (next+1)%nodes, order)
		c.read(s.ctx, next, Counted, false)
		c.read(s.ctx, next, Scarce[0], false)
	}
}

// answerLost kills a leader that has carried out what another node had forwarded
// to it, while its answer is on the way.
func answerLost(s *staged) {
	old := s.leader()
	through, third := (old+1)%nodes, (old+2)%nodes
	s.net.setSlow(path{s.members[old].address, s.members[through].address}, 300*time.Millisecond)
	sleep(s.ctx, time.Second)
	c := s.client(0)
	var asked sync.WaitGroup
	asked.Go(func() { s.receiveAt(through) })
	for before := c.read(s.ctx, third, Counted, true).Stock; c.read(s.ctx, third, Counted, true).Stock == before; {
		if !sleep(s.ctx, time.Millisecond) {
			return
		}
	}
	s.kill(old, s.dice)
	asked.Wait()
	s.net.heal()
	for c.read(s.ctx, third, Counted, false).Outcome != Done && s.ctx.Err() == nil {
	}
}

var scenes = []struct {
	name string
	play func(s *staged)
}{{"late answers", lateAnswers}, {"new leader", newLeader}, {"twice", twice}, {"answer lost", answerLost}}

// What a leader hears late doesn't tell it that it still leads; one that was just
// elected first finds out what was acknowledged before; a command that came twice
// has its effect once, under whatever leaders; and of one whose answer is lost
// nobody says that it was not carried out.
func TestScenes(t *testing.T) {
	for _, scene := range scenes {
		for seed := uint64(1); seed <= 2; seed++ {
			t.Run(fmt.Sprint(scene.name, " ", seed), func(t *testing.T) {
				for _, err := range stage(t, seed, scene.play) {
					t.Error(err)
				}
			})
		}
	}
}
