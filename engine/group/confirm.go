package group

import (
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"anabranch.dev/connectors"
	"anabranch.dev/internal/planted"
)

// confirmations say since when a replica has certainly been followed by others.
//
// Raft's own check of the leadership takes any answer that comes after it began
// for a vote, also one that was given before and is late: by then those who gave
// it may follow another leader, which has acknowledged what is not known here.
// So answers are counted by when they were asked for.
type confirmations struct {
	mu      sync.Mutex // guards what follows
	round   uint64     // of checks begun
	replies map[raft.ServerID]confirmation
}

// confirmation is the newest of a replica's: it followed the leader of a term
// after a round had begun.
type confirmation struct{ term, round uint64 }

// begin starts a round: what is asked for from now on counts in it.
func (c *confirmations) begin() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round++
	return c.round
}

// begun is the round that has begun last.
func (c *confirmations) begun() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.round
}

// note takes an answer down, which was asked for in a round.
func (c *confirmations) note(replica raft.ServerID, term, round uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.replies == nil {
		c.replies = map[raft.ServerID]confirmation{}
	}
	if old := c.replies[replica]; term > old.term || term == old.term && round > old.round {
		c.replies[replica] = confirmation{term, round}
	}
}

// majority reports whether most of the voters, of which own is one without being
// asked, followed the leader of a term after a round had begun.
func (c *confirmations) majority(voters []raft.Server, own raft.ServerID, term, round uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, v := range voters {
		if r := c.replies[v.ID]; v.ID == own || r.term == term && r.round >= round {
			n++
		}
	}
	return n > len(voters)/2
}

// AppendEntries implements raft.Transport: heartbeats come this way.
func (t *transport) AppendEntries(id raft.ServerID, to raft.ServerAddress, q *raft.AppendEntriesRequest, a *raft.AppendEntriesResponse) error {
	round := t.confirmed.begun()
	err := t.NetworkTransport.AppendEntries(id, to, q, a)
	if err == nil && a.Term == q.Term {
		t.confirmed.note(id, q.Term, round)
	}
	return err
}

// confirm returns nil once it is certain that this replica led in a term after
// the call. Each of Raft's checks has the followers asked at once.
func (g *Group) confirm(term uint64) error {
	round := g.trans.confirmed.begin()
	for {
		if err := g.raft.VerifyLeader().Error(); err != nil {
			return fmt.Errorf("%w: %w", connectors.ErrUnavailable, err)
		}
		if term != g.raft.CurrentTerm() {
			return fmt.Errorf("%w: %w", connectors.ErrUnavailable, errNotLeader)
		}
		if planted.Is("group: late answers count for a check of the leadership") ||
			g.trans.confirmed.majority(g.voters(), raft.ServerID(g.cfg.Replica), term, round) {
			return nil
		}
	}
}
