package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/peer"
)

// A cluster is formed once, in two phases. Every node durably promises to be a
// member of a cluster with a certain id. When all have, the node that asked
// them writes down that it is formed, if its own promise still stands; that
// decides it. Then it tells the others, and whom it can't tell learns it by
// asking. A promise may be changed for a cluster with a smaller id, never back:
// of several that are being formed at once all but one fail, because each needs
// the promise of every node.

// waitingForInit is what a node that knows no cluster does.
const waitingForInit = "waiting for cluster init"

// adoptEvery is how often a node without a cluster asks the others.
const adoptEvery = time.Second

// errForming: the node is being made a member of another cluster.
var errForming = errors.New("another cluster is being formed")

// promise is the first phase on one node.
func (n *Node) promise(q *formRequest) error {
	if err := n.suits(q); err != nil {
		return err
	}
	return n.dir.change(func(id *identity) error {
		if err := id.sameLife(q); err != nil && id.Stage != stageFormed {
			return err
		}
		switch {
		case id.Stage == stageFormed && id.ClusterID == q.ClusterID:
			return nil
		case id.Stage == stageFormed, id.Stage == stageRemoved, id.Stage == stageForming && id.ClusterID < q.ClusterID:
			return fmt.Errorf("%w at node %s", errForming, n.cfg.ID)
		}
		id.Stage, id.ClusterID, id.Members, id.Level = stageForming, q.ClusterID, q.Members, q.Level
		return nil
	})
}

// suits says whether this node can be a member of a cluster.
func (n *Node) suits(q *formRequest) error {
	if q.InForce > n.cfg.knows {
		return fmt.Errorf("node %s does not fit the cluster: %w", n.cfg.ID, &core.UnknownLevel{Knows: n.cfg.knows, Needs: q.InForce})
	}
	if !slices.ContainsFunc(q.Members, func(m member) bool { return m.ID == n.cfg.ID }) {
		return fmt.Errorf("the cluster's members are %s: node %s is not a member", strings.Join(memberIDs(q.Members), ", "), n.cfg.ID)
	}
	ours := settingsOf(&n.cfg)
	if d := q.Settings.differences(&ours); len(d) > 0 {
		return fmt.Errorf("node %s does not fit the cluster: %s", n.cfg.ID, strings.Join(d, ", "))
	}
	return nil
}

// decide forms the cluster that all have promised to be members of.
func (n *Node) decide(q *formRequest) error {
	err := n.dir.change(func(id *identity) error {
		if id.ClusterID != q.ClusterID {
			return errForming
		}
		id.found(n.cfg.Groups)
		return nil
	})
	if err == nil {
		n.formed()
	}
	return err
}

// formAlone makes a cluster of this node only.
func (n *Node) formAlone() error {
	return n.dir.change(func(id *identity) error {
		if id.Stage == stageForming {
			return fmt.Errorf("data directory %s: an init of %s was interrupted; join the same nodes again, or name an empty directory",
				n.dir.path, strings.Join(memberIDs(id.Members), ", "))
		}
		id.Level = id.firstLevel(n.cfg.knows)
		id.ClusterID, id.Members = rand.Text(), []member{{ID: n.cfg.ID, Peer: n.PeerAddr(), HTTP: n.cfg.HTTP}}
		id.found(n.cfg.Groups)
		return nil
	})
}

// found makes a node a founding member of the cluster that it promised to join.
func (id *identity) found(groups int) {
	if id.Stage == stageFormed {
		return
	}
	id.Stage = stageFormed
	for len(id.Replicas) < groups {
		id.Replicas = append(id.Replicas, replicaState{Generation: founding})
	}
}

// toldFormed is the second phase on one node.
func (n *Node) toldFormed(q *formRequest) error { return n.adopt(q, 0) }

// join takes the cluster that another node is a member of.
func (n *Node) join(h *hello) error {
	last := uint64(0)
	for _, r := range h.Replicas {
		for _, replica := range r.Members {
			if peer.NodeOf(replica) == n.cfg.ID {
				last = max(last, generationOf(replica))
			}
		}
	}
	return n.adopt(&formRequest{ClusterID: h.ClusterID, Members: h.Members, Settings: h.Settings, Changes: h.Changes, Gone: h.Gone,
		Incarnation: h.Incarnation, Snapshot: h.Snapshot, Level: h.Level, InForce: h.inForce()}, last)
}

// adopt takes a cluster that is formed, and has this node as a member. A node
// that had promised it is a founding member. One that knows nothing of it has
// lost its data, and what its replicas had promised: it joins with new ones,
// later than the last that the other members know of.
func (n *Node) adopt(q *formRequest, last uint64) error {
	if now := n.dir.now(); now.Stage == stageFormed && now.ClusterID == q.ClusterID {
		return nil
	}
	if err := n.suits(q); err != nil {
		return err
	}
	err := n.dir.change(func(id *identity) error {
		switch id.Stage {
		case stageFormed, stageRemoved:
			return fmt.Errorf("node %s is a member of another cluster", n.cfg.ID)
		case stageForming:
			if q.Changes > 0 {
				id.Founders = memberIDs(id.Members) // as promised, whoever are members now
			}
		case stageNew:
			if id.Snapshot != "" {
				return fmt.Errorf("node %s was restored after its cluster had been formed without it: name an empty directory, and it takes the others' data", n.cfg.ID)
			}
			id.Incarnation = max(q.Incarnation, 1)
			for range n.cfg.Groups {
				id.Replicas = append(id.Replicas, replicaState{Generation: max(rebirth(time.Now()), last+1)})
			}
		}
		id.ClusterID, id.Members, id.Version, id.Gone, id.Level = q.ClusterID, q.Members, q.Changes, q.Gone, q.Level
		id.found(n.cfg.Groups)
		return nil
	})
	if err == nil {
		n.formed()
	}
	return err
}

// rebirth is a generation that this node never had, though it remembers none:
// wiped nodes count in milliseconds since 1970, all others up from 1.
func rebirth(now time.Time) uint64 { return uint64(max(now.UnixMilli(), founding+1)) }

// isFormed says whether this node is a member of a formed cluster.
func (n *Node) isFormed() bool {
	select {
	case <-n.isMember:
		return true
	default:
		return false
	}
}

// formed lets the node begin, once.
func (n *Node) formed() {
	n.formOnce.Do(func() {
		id := n.dir.now()
		n.cfg.Log.Info("cluster is formed", "cluster", id.Cluster, "members", memberIDs(id.Members))
		close(n.isMember)
		n.changed()
	})
}

// awaitFormed waits until this node is a member of a formed cluster. It asks the
// others whether there is one already. It returns false if ctx ended.
func (n *Node) awaitFormed(ctx context.Context) bool {
	said := ""
	for !n.isFormed() {
		why := n.lookForCluster(ctx)
		n.outside.Store(&why)
		if why != said && ctx.Err() == nil {
			n.cfg.Log.Info(why, "join", n.cfg.Join)
			said = why
			n.changed()
		}
		t := time.NewTimer(adoptEvery)
		select {
		case <-ctx.Done():
		case <-n.isMember:
		case <-t.C:
		}
		t.Stop()
		if ctx.Err() != nil {
			return false
		}
	}
	return true
}

// lookForCluster takes the cluster that another node knows, or says what this
// one waits for.
func (n *Node) lookForCluster(ctx context.Context) string {
	why := waitingForInit + ": run `anabranch cluster init` once, on any node, or `anabranch cluster add` if the cluster runs already"
	for _, f := range n.meet(ctx) {
		if f.err != nil {
			why += fmt.Sprintf("; %v", f.err)
			continue
		}
		if f.said.Stage != string(stageFormed) {
			continue
		}
		if err := n.join(f.said); err != nil {
			return fmt.Sprintf("a cluster is there, but can't be joined: %v", err)
		}
	}
	return why
}
