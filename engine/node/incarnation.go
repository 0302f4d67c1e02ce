package node

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// life is which incarnation of the cluster a node's data are of. A new directory
// is of none: it takes that of the cluster it joins. A restored one has it, with
// the snapshot it was made from, before it knows the other nodes.
type life struct {
	incarnation uint64 // 0: none
	snapshot    string
}

func (id *identity) life() life {
	if id.Stage != stageFormed && id.Snapshot == "" {
		return life{}
	}
	return life{id.Incarnation, id.Snapshot}
}

func (l life) String() string {
	switch {
	case l.incarnation == 0:
		return "new"
	case l.snapshot == "":
		return fmt.Sprintf("of incarnation %d", l.incarnation)
	}
	return fmt.Sprintf("of incarnation %d, restored from snapshot %.12s", l.incarnation, l.snapshot)
}

// incarnation is that of this node's data, 0 while it has none.
func (n *Node) incarnation() uint64 {
	id := n.dir.now()
	return id.life().incarnation
}

// sameLife refuses to form a cluster of nodes whose data are of different lives:
// all are new, or all were restored from one snapshot.
func (id *identity) sameLife(q *formRequest) error {
	if own, theirs := id.life(), (life{q.Incarnation, q.Snapshot}); own != theirs {
		return fmt.Errorf("node %s is %s, the others are %s: restore all nodes from one snapshot, or none", id.Node, own, theirs)
	}
	return nil
}

// reclusterID names the cluster that the same nodes make of the same data: all of
// them come to it by themselves.
func reclusterID(before string, incarnation uint64, nodes []string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s", before, incarnation, strings.Join(nodes, "\n")))
	return strings.ToUpper(hex.EncodeToString(sum[:13]))
}
