package settled

import "testing"

func TestLook(t *testing.T) {
	at := func(a, b uint64) []Group {
		return []Group{{Group: 1, Commit: b, Applied: b}, {Group: 0, Commit: a, Applied: a}}
	}
	with := func(change func(g *Group)) []Group {
		list := at(3, 5)
		change(&list[1])
		return list
	}
	const read, unread = true, false
	type look struct {
		read    bool
		leaders []Group
		want    bool
	}
	tests := []struct {
		name  string
		looks []look
	}{
		{"idle twice at the same place", []look{{read, at(3, 5), false}, {read, at(3, 5), true}, {read, at(3, 5), true}}},
		{"work between two looks", []look{{read, at(3, 5), false}, {read, at(3, 6), false}, {read, at(4, 6), false}, {read, at(4, 6), true}}},
		{"input not read at the first look", []look{{unread, at(3, 5), false}, {read, at(3, 5), false}, {read, at(3, 5), true}}},
		{"records on their way to Kafka", []look{{read, at(3, 5), false}, {read, with(func(g *Group) { g.OutboxRecords = 1 }), false}, {read, at(3, 5), false}}},
		{"messages between groups", []look{{read, at(3, 5), false}, {read, with(func(g *Group) { g.LaneMessages = 1 }), false}, {read, at(3, 5), false}}},
		{"an entry not applied", []look{{read, at(3, 5), false}, {read, with(func(g *Group) { g.Commit = 4 }), false}, {read, at(3, 5), false}}},
		{"a group without a leader", []look{{read, at(3, 5)[:1], false}, {read, at(3, 5)[:1], false}}},
		{"a group with two leaders", []look{{read, append(at(3, 5), at(3, 5)[0]), false}, {read, append(at(3, 5), at(3, 5)[0]), false}}},
	}
	for _, test := range tests {
		var w Watch
		for i, l := range test.looks {
			if got := w.Look(l.read, 2, l.leaders); got != l.want {
				t.Errorf("%s: look %d = %v; want %v", test.name, i, got, l.want)
			}
		}
	}
}
