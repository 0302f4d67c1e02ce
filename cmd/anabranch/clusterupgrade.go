package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func newClusterUpgrade() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Put the feature level in force that all nodes know now",
		Long: `The last step of an upgrade, after every node runs the new build: from then on state
is written in its formats. Until then a node can go back to the build before; afterwards
it can't, and an older build refuses to start. Refused while a node does not know the
level or does not answer. Done again it changes nothing, or goes on where it was
interrupted.`,
		Example: "  anabranch cluster upgrade --addr 10.0.0.1:8470",
		Args:    cobra.NoArgs,
	}
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := c.post(cmd.Context(), nil, nil, "v1", "cluster", "upgrade")
		if err != nil {
			return err
		}
		done, err := decode[struct{ Before, Level int }](c, answer)
		if err != nil {
			return err
		}
		return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error {
			said := fmt.Sprintf("feature level %d is in force, before it was %d", done.Level, done.Before)
			if done.Before == done.Level {
				said = fmt.Sprintf("feature level %d is in force, the highest that the nodes know", done.Level)
			}
			_, err := fmt.Fprintln(w, said)
			return err
		})
	}
	return cmd
}

// levelTroubles says how far an upgrade is: which nodes have a build that knows
// more than is in force, or which groups are behind others.
func (s *clusterStatus) levelTroubles() (list []trouble) {
	inForce, highest := s.LevelInForce, s.LevelInForce
	for _, n := range s.Nodes {
		highest = max(highest, n.FeatureLevel)
	}
	var older []string
	for _, n := range s.Nodes {
		if n.FeatureLevel < highest {
			older = append(older, n.Node)
		}
	}
	for _, g := range s.Groups {
		if g.Level > inForce && inForce > 0 {
			return []trouble{{rankSoon, fmt.Sprintf("group %d is at feature level %d, not all groups are", g.Group, g.Level), "anabranch cluster upgrade"}}
		}
	}
	switch {
	case highest == inForce || inForce == 0:
		return nil
	case len(older) > 0:
		return []trouble{{rankSoon, fmt.Sprintf("some nodes know feature level %d; %d is in force, as %s may not know it", highest, inForce, strings.Join(older, ", ")),
			"run the same build on every node, then: anabranch cluster upgrade"}}
	}
	return []trouble{{rankSoon, fmt.Sprintf("all nodes know feature level %d; %d is in force", highest, inForce),
		"when no node is to go back to the build before: anabranch cluster upgrade"}}
}
