package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"anabranch.dev/internal/assembly"
	"anabranch.dev/topology"
)

func newTopology() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "topology",
		Short:   "The graph that runs: topics, stages, tables",
		Example: "  anabranch topology show --format mermaid",
	}
	cmd.AddCommand(newTopologyShow(), newTopologyCheck())
	return cmd
}

func newTopologyShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show the topology as text, as a Mermaid picture or as JSON",
		Example: "  anabranch topology show --format mermaid > topology.mmd",
		Args:    cobra.NoArgs,
	}
	var form string
	cmd.Flags().StringVar(&form, "format", "text", "text, mermaid or json")
	out := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		plan, err := assembly.Plan()
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		switch form {
		case "mermaid":
			_, err := io.WriteString(w, plan.Mermaid())
			return err
		case "json":
			*out = formatJSON
		case "text":
		default:
			return usagef("--format %q is none of text, mermaid, json", form)
		}
		return out.showValue(w, outline(plan), func(w io.Writer) error { return topologyTables(w, outline(plan)) })
	}
	return cmd
}

// planOutline is a plan as people read it.
type planOutline struct {
	Name   string         `json:"name"`
	Topics []topicOutline `json:"topics"`
	Stages []stageOutline `json:"stages"`
}

type topicOutline struct {
	Alias     string   `json:"alias"`
	Name      string   `json:"name"`
	Direction string   `json:"direction"`
	Compacted bool     `json:"compacted"`
	Types     []string `json:"types"`
}

type stageOutline struct {
	Name    string   `json:"name"`
	Depth   int      `json:"depth"`
	Inputs  []string `json:"inputs"`
	Outputs []string `json:"outputs"`
	Tables  []string `json:"tables"`
	Reads   []string `json:"reads"`
	Queries []string `json:"queries"`
}

func outline(p *topology.Plan) planOutline {
	names := assembly.TopicNames()
	o := planOutline{Name: p.Name}
	for _, t := range p.Topics {
		topic := topicOutline{Alias: t.Alias, Name: names[t.Alias], Direction: "out", Compacted: t.Compacted}
		if t.Input {
			topic.Direction = "in"
		}
		for _, i := range p.Inputs {
			if i.Topic == t.Alias {
				topic.Types = append(topic.Types, i.Type)
			}
		}
		for _, s := range p.Sinks {
			if s.Topic == t.Alias {
				topic.Types = append(topic.Types, s.Port.Name)
			}
		}
		o.Topics = append(o.Topics, topic)
	}
	for _, s := range p.Stages {
		stage := stageOutline{Name: s.Name, Depth: s.Depth}
		for _, in := range s.Decl.Ins {
			stage.Inputs = append(stage.Inputs, in.Name)
		}
		for _, out := range s.Decl.Outs {
			stage.Outputs = append(stage.Outputs, out.Name)
		}
		for _, t := range s.Decl.Tables {
			stage.Tables = append(stage.Tables, t.Name)
		}
		for _, r := range s.Decl.ReadPorts {
			stage.Reads = append(stage.Reads, r.Name)
		}
		for _, q := range s.Decl.Queries {
			stage.Queries = append(stage.Queries, q.Name)
		}
		o.Stages = append(o.Stages, stage)
	}
	return o
}

func topologyTables(w io.Writer, o planOutline) error {
	topics := newTable("TOPIC", "KAFKA NAME", "DIRECTION", "COMPACTED", "EVENT TYPES")
	for _, t := range o.Topics {
		topics.AppendRow(table.Row{t.Alias, t.Name, t.Direction, t.Compacted, strings.Join(t.Types, " ")})
	}
	if err := render(w, topics); err != nil {
		return err
	}
	for _, s := range o.Stages {
		if _, err := fmt.Fprintf(w, "\nstage %s (depth %d)\n", s.Name, s.Depth); err != nil {
			return err
		}
		for _, part := range []struct {
			name  string
			names []string
		}{{"takes", s.Inputs}, {"emits", s.Outputs}, {"keeps", s.Tables}, {"reads", s.Reads}, {"answers", s.Queries}} {
			if len(part.names) == 0 {
				continue
			}
			slices.Sort(part.names)
			if _, err := fmt.Fprintf(w, "  %-8s %s\n", part.name, strings.Join(part.names, ", ")); err != nil {
				return err
			}
		}
	}
	return nil
}

func newTopologyCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Check the topology; every fault is listed, exit code 3 if there are any",
		Example: "  anabranch topology check",
		Args:    cobra.NoArgs,
	}
	out := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var invalid *topology.Invalid
		plan, err := assembly.Plan()
		if err != nil && !errors.As(err, &invalid) {
			return err
		}
		result := struct {
			Name   string   `json:"name"`
			Faults []string `json:"faults"`
		}{}
		if invalid != nil {
			result.Name, result.Faults = invalid.Name, invalid.Faults
		} else {
			result.Name, result.Faults = plan.Name, []string{}
		}
		err = out.showValue(cmd.OutOrStdout(), result, func(w io.Writer) error {
			text := result.Name + ": good"
			if invalid != nil {
				text = invalid.Error()
			}
			_, err := fmt.Fprintln(w, text)
			return err
		})
		if err == nil && invalid != nil {
			err = &foundError{"topology " + result.Name + ": " + count(len(result.Faults), "fault")}
		}
		return err
	}
	return cmd
}
