package core_test

import (
	"testing"

	"anabranch.dev/engine/core"
)

// Of two lists made from the same one the second is refused, and so is one of a
// group that keeps none. A list of another cluster, from whose snapshot this one
// was restored, counts for nothing.
func TestMembers(t *testing.T) {
	r := newRig(t, 2)
	list := func(cluster string, version uint64, nodes ...string) *core.Members {
		m := &core.Members{ClusterID: cluster, Version: version}
		for _, n := range nodes {
			m.List = append(m.List, core.Member{ID: n})
		}
		return m
	}
	for _, tt := range []struct {
		group int
		list  *core.Members
		code  string
		after uint64 // version
	}{
		{0, nil, "members_missing", 0},
		{0, list("a", 1), "members_missing", 0},
		{0, list("a", 2, "n1"), core.CodeMembersChanged, 0},
		{0, list("a", 1, "n1", "n2"), "", 1},
		{0, list("a", 1, "n1", "n3"), core.CodeMembersChanged, 1},
		{1, list("a", 2, "n1"), "members_elsewhere", 0},
		{0, list("a", 2, "n1"), "", 2},
		{0, list("b", 3, "n1"), core.CodeMembersChanged, 2},
		{0, list("b", 1, "n9"), "", 1},
	} {
		out := r.apply(tt.group, core.Item{Control: &core.Control{ID: "c", Kind: core.ControlMembers, Members: tt.list}})
		got := uint64(0)
		if m := r.cores[tt.group].Members(); m != nil {
			got = m.Version
		}
		if len(out.Replies) != 1 || out.Replies[0].Code != tt.code || out.Members != (tt.code == "") || got != tt.after {
			t.Errorf("group %d, %+v: replies %+v, changed %v, version %d; want code %q and version %d",
				tt.group, tt.list, out.Replies, out.Members, got, tt.code, tt.after)
		}
	}
	again, _ := r.restart()
	if m := again.Members(); m == nil || len(m.List) != 1 || m.List[0].ID != "n9" {
		t.Errorf("members after a restart = %+v; want n9 alone", m)
	}
}
