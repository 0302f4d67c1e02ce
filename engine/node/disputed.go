package node

import (
	"cmp"
	"fmt"
	"slices"

	"anabranch.dev/engine/core"
)

// disputed lists the shards that not exactly one of a node's groups has: groups
// that are kept up to different moments may have lost that a shard has left, or
// that it has arrived.
func disputed(groups []RecoveredGroup) (list []string) {
	if len(groups) == 0 {
		return nil
	}
	for at := range groups[0].placements {
		shard := groups[0].placements[at].Shard
		var owners []core.Placement
		for i := range groups {
			if p := groups[i].placements[at]; p.Group == groups[i].Group {
				owners = append(owners, p)
			}
		}
		switch len(owners) {
		case 0:
			list = append(list, fmt.Sprintf("shard %d: no group has it, since the one that it moved to has lost that it arrived. "+
				"What it held is lost, and its keys get no answer: try another survivor, or restore a backup", shard))
		case 1:
		default:
			slices.SortFunc(owners, func(a, b core.Placement) int { return cmp.Compare(b.Version, a.Version) })
			list = append(list, fmt.Sprintf("shard %d: group %d has it by its latest move, and group %d has lost that it let it go: "+
				"that one gives it up when it hears so", shard, owners[0].Group, owners[1].Group))
		}
	}
	return list
}
