package topology

import (
	"fmt"
	"strings"
)

// Mermaid draws the plan as a Mermaid flowchart: topics as cylinders, stages as
// boxes, streams as labelled arrows.
func (p *Plan) Mermaid() string {
	var w strings.Builder
	w.WriteString("flowchart LR\n")
	for _, t := range p.Topics {
		fmt.Fprintf(&w, "  t_%s[(%s)]\n", ident(t.Alias), t.Alias)
	}
	for _, s := range p.Stages {
		fmt.Fprintf(&w, "  s_%s[%s]\n", ident(s.Name), s.Name)
	}
	for _, i := range p.Inputs {
		if i.Topic == "" {
			fmt.Fprintf(&w, "  api([API]) -- %s --> s_%s\n", i.Type, ident(i.Port.Stage))
			continue
		}
		fmt.Fprintf(&w, "  t_%s -- %s --> s_%s\n", ident(i.Topic), i.Type, ident(i.Port.Stage))
	}
	for _, s := range p.Stages {
		for _, out := range s.Decl.Outs {
			for _, in := range p.links[out] {
				fmt.Fprintf(&w, "  s_%s -- %s --> s_%s\n", ident(s.Name), out.Name, ident(in.Stage))
			}
			if sink := p.sinks[out]; sink != nil {
				fmt.Fprintf(&w, "  s_%s -- %s --> t_%s\n", ident(s.Name), out.Name, ident(sink.Topic))
			}
		}
		for _, r := range s.Decl.ReadPorts {
			if r.Table != nil {
				fmt.Fprintf(&w, "  s_%s -. %s .-> s_%s\n", ident(r.Table.Stage), r.Name, ident(s.Name))
			}
		}
	}
	return w.String()
}

// ident turns a name into what Mermaid accepts as a node id.
func ident(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}
