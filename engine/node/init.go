package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"anabranch.dev/connectors"
)

const (
	meetTimeout = 2 * time.Second       // for a node at an address to answer
	formPause   = 20 * time.Millisecond // before an init that met another one goes on
	formTries   = 50                    // until it gives up
)

// found is what is at an address to join.
type found struct {
	address string
	said    *hello
	err     error
}

// meet asks whoever is at the addresses to join, side by side.
func (n *Node) meet(ctx context.Context) []found {
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	all := make([]found, len(n.cfg.Join))
	var asked sync.WaitGroup
	for i, address := range n.cfg.Join {
		all[i].address = address
		asked.Go(func() {
			all[i].said, all[i].err = callAddress[hello](ctx, n, address, callHello, n.hello())
			if all[i].err == nil && all[i].said.Instance == n.instance {
				n.ownAddress.Store(&address)
			}
		})
	}
	asked.Wait()
	n.met.Store(true)
	return all
}

// Init implements [connectors.Cluster].
func (n *Node) Init(ctx context.Context) error {
	n.initMu.Lock()
	defer n.initMu.Unlock()
	for range formTries {
		err := n.form(ctx)
		if !errors.Is(err, errForming) {
			return err
		}
		if !wait(ctx, formPause) {
			return fmt.Errorf("cluster init: %w", ctx.Err())
		}
	}
	return fmt.Errorf("cluster init: %w: %w", connectors.ErrUnavailable, errForming)
}

// form tries once. errForming: another init is under way, whose cluster this
// one then goes on with.
func (n *Node) form(ctx context.Context) error {
	if n.isFormed() {
		return nil
	}
	all := n.meet(ctx)
	for _, f := range all {
		if f.said != nil && f.said.Stage == string(stageFormed) {
			return n.join(f.said)
		}
	}
	if err := n.formable(all); err != nil {
		return err
	}
	q := n.proposal(all)
	if err := n.tellAll(ctx, callForm, q, n.promise); err != nil {
		return fmt.Errorf("cluster init: %w: %w", connectors.ErrUnavailable, err)
	}
	if err := n.decide(q); err != nil {
		return err
	}
	if err := n.tellAll(ctx, callFormed, q, n.toldFormed); err != nil {
		n.cfg.Log.Warn("not all nodes know yet that the cluster is formed; they will ask", "err", err)
	}
	return nil
}

// formable names everything that keeps the nodes from forming a cluster.
func (n *Node) formable(all []found) error {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	silent := 0
	seen := map[string]found{}
	ours := settingsOf(&n.cfg)
	id := n.dir.now()
	own := id.life()
	for _, f := range all {
		if f.err != nil {
			silent++
			fault("%s does not answer: %v", f.address, f.err)
			continue
		}
		if other, twice := seen[f.said.Node]; twice {
			if other.said.Instance == f.said.Instance {
				fault("%s and %s are both node %s", other.address, f.address, f.said.Node)
			} else {
				fault("the nodes at %s and %s both have the id %s", other.address, f.address, f.said.Node)
			}
			continue
		}
		seen[f.said.Node] = f
		if d := ours.differences(&f.said.Settings); len(d) > 0 {
			fault("node %s at %s: %s", f.said.Node, f.address, strings.Join(d, ", "))
		}
		if theirs := (life{f.said.Incarnation, f.said.Snapshot}); theirs != own {
			fault("node %s at %s is %s, this one is %s: restore all nodes from one snapshot, or none", f.said.Node, f.address, theirs, own)
		}
	}
	if here, ok := seen[n.cfg.ID]; silent == 0 && (!ok || here.said.Instance != n.instance) {
		fault("this node %s is at none of the addresses to join", n.cfg.ID)
	}
	switch {
	case len(faults) == 0:
		return n.sameMembers(all)
	case silent == len(faults):
		return fmt.Errorf("cluster can't be formed: %w: %s", connectors.ErrUnavailable, strings.Join(faults, "; "))
	}
	return fmt.Errorf("cluster can't be formed: %s", strings.Join(faults, "; "))
}

// sameMembers refuses to go on with an interrupted init of other nodes.
func (n *Node) sameMembers(all []found) error {
	ids := memberIDs(membersOf(all))
	for _, f := range all {
		if f.said.Stage != string(stageForming) {
			continue
		}
		if promised := memberIDs(f.said.Members); !slices.Equal(promised, ids) {
			return fmt.Errorf("cluster can't be formed: an init of %s was interrupted, at %s, but %s are to join; start new nodes on empty directories",
				strings.Join(promised, ", "), f.said.Node, strings.Join(ids, ", "))
		}
	}
	return nil
}

func memberIDs(members []member) (ids []string) {
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	return ids
}

// membersOf are the nodes that were met, in the order of ids.
func membersOf(all []found) (members []member) {
	for _, f := range all {
		members = append(members, member{ID: f.said.Node, Peer: f.address, HTTP: f.said.HTTP})
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.ID, b.ID) })
	return members
}

// proposal is the cluster to form: of those under way the one with the smallest
// id, or a new one. It begins at the highest feature level that all nodes know.
func (n *Node) proposal(all []found) *formRequest {
	id := n.dir.now()
	q := &formRequest{Members: membersOf(all), Settings: settingsOf(&n.cfg), Incarnation: id.life().incarnation, Snapshot: id.life().snapshot}
	knows := n.cfg.knows
	for _, f := range all {
		knows = min(knows, f.said.Knows)
		if id := f.said.ClusterID; f.said.Stage == string(stageForming) && (q.ClusterID == "" || id < q.ClusterID) {
			q.ClusterID = id
		}
	}
	if q.ClusterID == "" {
		q.ClusterID = rand.Text()
	}
	q.Level = id.firstLevel(knows)
	q.InForce = q.Level
	return q
}

// tellAll makes a call to all members of a proposal, side by side; this node
// answers itself.
func (n *Node) tellAll(ctx context.Context, method string, q *formRequest, here func(q *formRequest) error) error {
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	errs := make([]error, len(q.Members))
	var told sync.WaitGroup
	for i, m := range q.Members {
		told.Go(func() {
			if m.ID == n.cfg.ID {
				errs[i] = here(q)
				return
			}
			if _, err := callAddress[nothing](ctx, n, m.Peer, method, q); err != nil {
				errs[i] = fmt.Errorf("node %s at %s: %w", m.ID, m.Peer, err)
			}
		})
	}
	told.Wait()
	return errors.Join(errs...)
}
