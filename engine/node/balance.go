package node

import "context"

// balanceLag is how many entries the next leader may be behind.
const balanceLag = 100

// balance hands the leadership of one group to a member that leads fewer, if
// this node leads two more than that: so the work of several groups lies on
// several nodes, and a node that comes back gets its part again.
func (n *Node) balance(ctx context.Context) {
	if n.cfg.Groups == 1 || n.notReady() != "" || !n.mayLead(n.cfg.ID) {
		return
	}
	led := map[string]int{}
	var own []int
	for id := range n.cfg.Groups {
		node := n.leaderOf(id)
		if node == "" {
			return // wait for calm
		}
		led[node]++
		if node == n.cfg.ID {
			own = append(own, id)
		}
	}
	for _, id := range own {
		for _, m := range n.dir.now().Members {
			if led[m.ID]+2 > led[n.cfg.ID] || !n.couldLead(m.ID, id) {
				continue
			}
			n.cfg.Log.Info("handing over, to spread the groups", "group", id, "to", m.ID)
			err := n.transferHere(ctx, &transferRequest{Group: uint64(id), Node: m.ID})
			if err != nil && ctx.Err() == nil {
				n.cfg.Log.Warn("leadership not handed over", "group", id, "to", m.ID, "err", err)
			}
			return
		}
	}
}

// couldLead says whether a member's replica of a group led here is fit to take
// over.
func (n *Node) couldLead(node string, id int) bool {
	v := n.peers.of(node)
	lag, ok := v.lag(id)
	if !ok || lag > balanceLag {
		return false
	}
	r := v.said.replica(id)
	return r != nil && r.Healthy && r.Votes && n.mayLead(node)
}

// firstRead reports whether the topics that others refer to have been read in
// a group that is led elsewhere, as its leader says.
func (n *Node) firstRead(id int) bool {
	v := n.peers.of(n.peers.serving(id))
	if !v.fresh() {
		return false
	}
	r := v.said.replica(id)
	return r != nil && r.Serves && r.FirstRead
}
