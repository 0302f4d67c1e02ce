package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// policyVersion is what tables show of a policy; the rules are shown as YAML.
type policyVersion struct {
	Name, Published, Author, Comment string
	Version                          int64
	Shadow                           bool
	Allocation                       json.RawMessage
}

// policyAnswer is a policy with its shadow and, if asked for, its history.
type policyAnswer struct {
	Current policyVersion
	History []policyVersion
	Shadow  *policyShadow
}

// policyShadow is how a shadow compares.
type policyShadow struct {
	Policy policyVersion
	Counts struct {
		Compared, Different, Cheaper, Dearer int64
		FillsMore                            int64 `json:"fills_more"`
		FillsLess                            int64 `json:"fills_less"`
	}
	Differences []struct {
		Order           string
		Attempt, Wanted int64
		Chosen, Instead policyChoice
	}
}

type policyChoice struct {
	Filled      int64
	Cost        string
	From, Rules []string
}

// maxShownDifferences is how many differences a table shows; JSON has all that
// are kept.
const maxShownDifferences = 10

func showPolicy(w io.Writer, c *client, out *format, answer []byte) error {
	p, err := decode[policyAnswer](c, answer)
	if err != nil {
		return err
	}
	return out.show(w, answer, func(w io.Writer) error {
		if len(p.History) > 0 {
			return tableOfPolicies(w, &p)
		}
		t := newTable("NAME", "VERSION", "PUBLISHED", "AUTHOR", "COMMENT")
		numbers(t, "VERSION")
		v := p.Current
		t.AppendRow(table.Row{v.Name, v.Version, v.Published, v.Author, v.Comment})
		if err := render(w, t); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := writeYAML(w, v.Allocation); err != nil || p.Shadow == nil {
			return err
		}
		return showShadow(w, p.Shadow)
	})
}

// tableOfPolicies shows the kept versions and which of them decides.
func tableOfPolicies(w io.Writer, p *policyAnswer) error {
	t := newTable("NAME", "VERSION", "STATE", "PUBLISHED", "AUTHOR", "COMMENT")
	numbers(t, "VERSION")
	for _, v := range p.History {
		state := ""
		switch {
		case v.Version == p.Current.Version:
			state = "in force"
		case p.Shadow != nil && v.Version == p.Shadow.Policy.Version:
			state = "shadow"
		case v.Shadow:
			state = "was a shadow"
		}
		t.AppendRow(table.Row{v.Name, v.Version, state, v.Published, v.Author, v.Comment})
	}
	return render(w, t)
}

func showShadow(w io.Writer, s *policyShadow) error {
	n := s.Counts
	if _, err := fmt.Fprintf(w, "\nshadow: version %d, %s compared, %d different; %d fill more, %d fill less, else %d cheaper, %d dearer\n",
		s.Policy.Version, count(int(n.Compared), "decision"), n.Different, n.FillsMore, n.FillsLess, n.Cheaper, n.Dearer); err != nil {
		return err
	}
	if len(s.Differences) == 0 {
		return nil
	}
	t := newTable("ORDER", "ATTEMPT", "CHOSEN", "COST", "BY SHADOW", "COST", "ITS RULES")
	for i, d := range s.Differences {
		if i == maxShownDifferences {
			break
		}
		t.AppendRow(table.Row{d.Order, d.Attempt, d.Chosen.sources(d.Wanted), d.Chosen.Cost, d.Instead.sources(d.Wanted), d.Instead.Cost,
			strings.Join(d.Instead.Rules, ", ")})
	}
	return render(w, t)
}

// sources says how much of what was wanted came from where.
func (c *policyChoice) sources(wanted int64) string {
	text := fmt.Sprintf("%d of %d", c.Filled, wanted)
	if len(c.From) > 0 {
		text += " from " + strings.Join(c.From, ", ")
	}
	return text
}

func newPolicyHistory() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "history NAME",
		Short:   "Show the kept versions of a policy, newest first",
		Example: "  anabranch policy history allocation",
		Args:    cobra.ExactArgs(1),
	}
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		answer, err := c.get(cmd.Context(), url.Values{"history": {"true"}}, "v1", "policies", args[0])
		if err != nil {
			return err
		}
		return showPolicy(cmd.OutOrStdout(), c, out, answer)
	}
	return cmd
}
