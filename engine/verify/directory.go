package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"anabranch.dev/engine/core"
	"anabranch.dev/engine/node"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// Config says how to read what is in a directory. Plan, Codec and
// Invariants are required.
type Config struct {
	Plan  *topology.Plan
	Codec state.Codec
	// Invariants checks what the plan promises of its own rows and reports what
	// is broken; an error is the reader's.
	Invariants func(r state.Reader, shards []state.Shard, broken func(place, what string)) error
	// Fingerprint of the pseudonym key that lies beside the nodes, "" if it is
	// kept elsewhere.
	Fingerprint string
	// Progress is told what is being read. May be nil.
	Progress func(what string)
}

// Directory looks at the data directories of nodes, each by itself, and compares
// the replicas that they have of one group. An error means that a directory
// can't be looked at: then nothing is said of any.
func Directory(ctx context.Context, cfg Config, directory string, nodes []string) (*Report, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	r := &Report{Directory: directory, Replicas: []Replica{}, Findings: []Finding{}}
	for _, path := range nodes {
		if err := lookAtNode(ctx, cfg, path, r); err != nil {
			return nil, err
		}
	}
	r.compareReplicas()
	return r, nil
}

func lookAtNode(ctx context.Context, cfg Config, path string, r *Report) (err error) {
	type fault struct{ place, text string }
	var faults []fault // until the node's name is known
	o, err := node.OpenOffline(path, func(place string, err error) { faults = append(faults, fault{place, err.Error()}) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	name := o.Node
	if name == "" {
		name = path
	}
	for _, f := range faults {
		r.add(name, -1, Identity, f.place, f.text)
	}
	if cfg.Fingerprint != "" && o.Known && o.Fingerprint != cfg.Fingerprint {
		r.add(name, -1, Identity, "node.json", fmt.Sprintf("it was made with pseudonym key %s, the key beside it is %s", o.Fingerprint, cfg.Fingerprint))
	}
	for i := range o.Replicas {
		l := &look{cfg: cfg, report: r, offline: o, replica: &o.Replicas[i], name: name}
		if err := l.all(ctx); err != nil {
			return fmt.Errorf("node %s: group %d: %w", name, o.Replicas[i].Group, err)
		}
	}
	return nil
}

// Add takes a finding of the caller's about all nodes in.
func (r *Report) Add(part Part, place, text string) { r.add("", -1, part, place, text) }

// compareReplicas compares the digests of replicas that are at one index.
func (r *Report) compareReplicas() {
	for i := range r.Replicas {
		a := &r.Replicas[i]
		for _, b := range r.Replicas[i+1:] {
			if a.Group != b.Group || a.Applied != b.Applied || a.digests == nil || b.digests == nil || slices.Equal(a.digests, b.digests) {
				continue
			}
			r.add(b.Node, b.Group, Replicas, "state", fmt.Sprintf("differs at entry %d from that of node %s%s", a.Applied, a.Node, firstDiffering(a.digests, b.digests)))
		}
	}
}

func firstDiffering(a, b []state.ShardDigest) string {
	for _, d := range a {
		if !slices.Contains(b, d) {
			return fmt.Sprintf(", first in shard %d", d.Shard)
		}
	}
	return ""
}

// coreConfig is what the core needs to know to inspect its rows.
func (l *look) coreConfig() core.Config {
	return core.Config{Plan: l.cfg.Plan, Codec: l.cfg.Codec, Shards: l.offline.Shards, Group: l.replica.Group, Groups: l.offline.Groups,
		GroupOf: l.offline.GroupOf, Incarnation: l.offline.Incarnation, Clock: l.offline.Clock}
}
