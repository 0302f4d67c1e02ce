package core

import "slices"

// ControlMembers changes the list of the cluster's nodes.
const ControlMembers = "members"

// Members are the nodes of the cluster, as the first group keeps them: one list,
// changed by one entry after the other. A cluster that never changed has none.
type Members struct {
	// ClusterID says whose list it is: that of a cluster from whose snapshot this
	// one was restored means nothing here.
	ClusterID string   `v:"cluster_id"`
	Version   uint64   `v:"version"` // counts changes from 1
	List      []Member `v:"list"`    // in the order of ids
	Gone      []string `v:"gone"`    // ids of removed nodes, the latest last
}

// Member is a node of the cluster. Peer and HTTP are where it was when the list
// was changed last.
type Member struct {
	ID    string `v:"id"`
	Peer  string `v:"peer"`
	HTTP  string `v:"http"`
	State string `v:"state"`
}

// Clone copies what a change may write to.
func (m *Members) Clone() *Members {
	next := *m
	next.List, next.Gone = slices.Clone(m.List), slices.Clone(m.Gone)
	return &next
}

// Members is the list as of the last applied entry, nil if it never changed. It
// must not be written to.
func (c *Core) Members() *Members {
	row, _ := c.store.Cell(c.groupCellID()).Get(tabMembers, "").(*Members)
	return row
}

// applyMembers takes a list in the place of the one it was made from. Of two that
// were made from the same one, the second is refused.
func (c *Core) applyMembers(k *Control) (code string) {
	last := uint64(0)
	row, _ := c.groupCell.Get(tabMembers, "").(*Members)
	switch {
	case c.cfg.Group != 0:
		return "members_elsewhere"
	case k.Members == nil || len(k.Members.List) == 0:
		return "members_missing"
	case row != nil && row.ClusterID == k.Members.ClusterID:
		last = row.Version
	}
	if k.Members.Version != last+1 {
		return CodeMembersChanged
	}
	c.groupCell.Set(tabMembers, "", k.Members.Clone(), 0)
	c.out.Members = true
	return ""
}

// CodeMembersChanged refuses a list that was not made from the newest one.
const CodeMembersChanged = "members_changed"
