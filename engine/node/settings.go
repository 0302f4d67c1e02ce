package node

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// settingsOf are the settings of this node that all nodes must share.
func settingsOf(cfg *Config) settings {
	s := settings{
		Cluster: cfg.Cluster, Topology: cfg.Plan.Name, Shards: int64(cfg.Shards), Groups: int64(cfg.Groups),
		Clock: cfg.Clock, Durability: cfg.Durability, Delivery: cfg.Delivery, OnGap: cfg.OnGap,
		Lateness: cfg.Lateness.Microseconds(), Fingerprint: cfg.Fingerprint,
	}
	for alias, name := range cfg.Topics {
		s.Topics = append(s.Topics, alias+"="+name)
	}
	slices.Sort(s.Topics)
	return s
}

// differences names everything in which another node's settings differ. The
// feature level that it knows is none of them: nodes are upgraded one by one.
func (s *settings) differences(other *settings) (differs []string) {
	check := func(what string, ours, theirs any) {
		if ours != theirs {
			differs = append(differs, fmt.Sprintf("%s is %v, not %v", what, theirs, ours))
		}
	}
	check("cluster", s.Cluster, other.Cluster)
	check("topology", s.Topology, other.Topology)
	check("shards", s.Shards, other.Shards)
	check("groups", s.Groups, other.Groups)
	check("clock", s.Clock, other.Clock)
	check("durability", s.Durability, other.Durability)
	check("delivery", s.Delivery, other.Delivery)
	check("on_gap", s.OnGap, other.OnGap)
	check("lateness", time.Duration(s.Lateness)*time.Microsecond, time.Duration(other.Lateness)*time.Microsecond)
	check("pseudonym key's fingerprint", s.Fingerprint, other.Fingerprint)
	check("topics", strings.Join(s.Topics, " "), strings.Join(other.Topics, " "))
	return differs
}
