package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// caughtUp waits until a node is ready and has applied what the leader had
// committed then.
func (s *servers) caughtUp(ctx context.Context, n *server) error {
	if err := n.ready(ctx); err != nil {
		return err
	}
	leader, err := s.leader(ctx)
	if err != nil {
		return err
	}
	goal, err := leader.replica(ctx)
	if err != nil {
		return err
	}
	if err := n.await(ctx, func() bool {
		r, err := n.replica(ctx)
		return err == nil && r.Applied >= goal.Commit
	}); err != nil {
		return fmt.Errorf("node %s does not catch up to entry %d: %w", n.id, goal.Commit, err)
	}
	return nil
}

// term is the leader's: every election raises it.
func (s *servers) term(ctx context.Context) (uint64, error) {
	n, err := s.leader(ctx)
	if err != nil {
		return 0, err
	}
	r, err := n.replica(ctx)
	return r.Term, err
}

// terms adds up the terms of all groups: every election raises one.
func (s *servers) terms(ctx context.Context, groups int) (sum uint64, err error) {
	for g := range groups {
		var highest uint64
		for _, n := range s.all {
			var r replica
			if err := n.get(ctx, fmt.Sprint("v1/groups/", g), &r); err != nil {
				return 0, err
			}
			highest = max(highest, r.Term)
		}
		sum += highest
	}
	return sum, nil
}

// allInputs says how far the input partitions of all groups are applied: which
// node reads one depends on its group's leader.
func (s *servers) allInputs(ctx context.Context) (list []inputPosition, err error) {
	for _, n := range s.all {
		var status struct {
			Inputs []inputPosition `json:"inputs"`
		}
		if err := n.get(ctx, "v1/cluster", &status); err != nil {
			return nil, err
		}
		list = append(list, status.Inputs...)
	}
	return list, nil
}

// rss is the memory of all nodes together.
func (s *servers) rss() (sum float64) {
	for _, n := range s.all {
		if n.child != nil {
			sum += rssMiB(n.child.cmd.Process.Pid)
		}
	}
	return sum
}

// inputs says how far the input partitions are applied.
func (s *servers) inputs(ctx context.Context) ([]inputPosition, error) {
	n, err := s.leader(ctx)
	if err != nil {
		return nil, err
	}
	var status struct {
		Inputs []inputPosition `json:"inputs"`
	}
	return status.Inputs, n.get(ctx, "v1/cluster", &status)
}

// oversold adds up, over all items, what is promised above what is there.
func (s *servers) oversold(ctx context.Context, skus int) (int64, error) {
	n, err := s.leader(ctx)
	if err != nil {
		return 0, err
	}
	var sum int64
	for i := range skus {
		var stock struct {
			Places []struct {
				OnHand   int64 `json:"on_hand"`
				Reserved int64 `json:"reserved"`
			} `json:"places"`
		}
		if err := n.get(ctx, "v1/stock/"+sku(i), &stock); err != nil {
			return 0, err
		}
		if len(stock.Places) == 0 {
			return 0, fmt.Errorf("stock of %s: no places in the answer", sku(i))
		}
		for _, p := range stock.Places {
			sum += max(0, p.Reserved-p.OnHand)
		}
	}
	return sum, nil
}

// metric adds up a metric of a node over all its labels.
func (n *server) metric(ctx context.Context, name string) (sum float64, err error) {
	var text string
	if err := n.get(ctx, "metrics", &text); err != nil {
		return 0, err
	}
	found := false
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		fields := strings.Fields(rest)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		found, sum = true, sum+v
	}
	if !found {
		return 0, fmt.Errorf("node %s has no metric %s", n.id, name)
	}
	return sum, nil
}
