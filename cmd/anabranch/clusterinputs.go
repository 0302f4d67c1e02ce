package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// readerTimeout bounds how long a node is asked about the inputs it reads.
const readerTimeout = 3 * time.Second

// askReaders asks the nodes that lead groups elsewhere about the inputs, which
// only they know: the asked node may be well while the reader can't reach Kafka.
func (s *clusterStatus) askReaders(ctx context.Context, c *client) {
	for _, n := range s.Nodes {
		leads := slices.ContainsFunc(n.Groups, func(g groupStatus) bool { return g.Role == "leader" })
		if n.Node == s.Node || !leads {
			continue
		}
		theirs, err := askReader(ctx, c, n.HTTP)
		if err != nil {
			s.unasked = append(s.unasked, trouble{rankSoon, fmt.Sprintf("how node %s gets on with the inputs that it reads is not known: %v", n.Node, err),
				"ask that node itself, with --addr"})
			continue
		}
		for i := range s.Inputs {
			in := &s.Inputs[i]
			j := slices.IndexFunc(theirs, func(t inputStatus) bool { return t.Name == in.Name && t.Partition == in.Partition })
			if j >= 0 && in.End < 0 && theirs[j].State != "waiting" {
				*in = theirs[j]
			}
		}
	}
}

func askReader(ctx context.Context, c *client, addr string) ([]inputStatus, error) {
	if scheme, _, ok := strings.Cut(c.at, "://"); ok && !strings.Contains(addr, "://") {
		addr = scheme + "://" + addr
	}
	ctx, cancel := context.WithTimeout(ctx, readerTimeout)
	defer cancel()
	answer, err := c.ask(ctx, http.MethodGet, addr, "v1/cluster", nil, nil)
	if err != nil {
		return nil, err
	}
	s, err := decode[clusterStatus](c, answer)
	return s.Inputs, err
}

// inputTroubles gathers the inputs that are not read by why they are not.
func (s *clusterStatus) inputTroubles() (list []trouble) {
	names := map[string][]string{}
	for _, in := range s.Inputs {
		state, why, _ := strings.Cut(in.State, ": ")
		if why != "" && (state == "stopped" || state == "waiting") && !slices.Contains(names[in.State], in.Name) {
			names[in.State] = append(names[in.State], in.Name)
		}
	}
	for _, state := range slices.Sorted(maps.Keys(names)) {
		t := trouble{rankLate, fmt.Sprintf("not read: %s, %s", strings.Join(names[state], ", "), state),
			"look at the brokers, and at the way from the nodes to them; reading goes on where it was when Kafka is back, do not restart nodes"}
		switch {
		case strings.HasPrefix(state, "stopped: "):
			t.rank, t.do = rankStopped, "records are gone from Kafka: find out which, then accept the loss with kafka.on_gap: skip, or see docs/operating.md, Gaps"
		case strings.HasSuffix(state, "the topic doesn't exist"):
			t.do = "make the topic; it is looked for every 3 seconds"
		}
		list = append(list, t)
	}
	return append(list, s.unasked...)
}
