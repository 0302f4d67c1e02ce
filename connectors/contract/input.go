package contract

import (
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators/event"
	"anabranch.dev/topology"
)

// Inputs describes every event type that can be decoded, with the topic on which
// a plan expects it.
func Inputs(p *topology.Plan) []Event {
	var list []Event
	for _, shape := range wire.Shapes() {
		e := Event{Type: shape.Type, Schema: inEnvelope(payload(&shape), shape.Type)}
		if in := p.Input(shape.Type); in != nil {
			e.Topic = in.Topic
		}
		list = append(list, e)
	}
	return list
}

// Body describes an event as the body of a request: the API adds what the
// envelope lacks, but for fields that are named. Nil for a type that nobody
// knows.
func Body(eventType string, required ...string) *huma.Schema {
	for _, shape := range wire.Shapes() {
		if shape.Type == eventType {
			o := inEnvelope(payload(&shape), eventType)
			o.Required = slices.DeleteFunc(o.Required, func(name string) bool {
				return slices.Contains(envelope, name) && !slices.Contains(required, name)
			})
			return o
		}
	}
	return nil
}

// payload describes an event's own fields.
func payload(shape *wire.Shape) *huma.Schema {
	w := &walker{leaf: read{shape}}
	w.open()
	shape.New().Visit(w)
	return w.close()
}

// envelope names the fields that every event has.
var envelope = []string{"id", "source", "type", "time"}

func inEnvelope(o *huma.Schema, eventType string) *huma.Schema {
	text := func(doc string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, MinLength: whole(1), MaxLength: whole(wire.MaxStringBytes), Description: doc}
	}
	addField(o, "id", text("unique per source"))
	addField(o, "source", text("who says it"))
	addField(o, "type", &huma.Schema{Type: huma.TypeString, Enum: []any{eventType}})
	addField(o, "time", &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: "when it happened"})
	return o
}

// read describes values as wire reads them: null and "" stand for a field that
// is not there, and what is not known is ignored.
type read struct{ shape *wire.Shape }

// isLine says whether fields at a path are those of a line.
func isLine(path []string) bool { return len(path) == 2 && path[0] == "lines" }

// needs says whether a field must be there.
func (r read) needs(path []string, name string) bool {
	switch {
	case len(path) == 0:
		return slices.Contains(r.shape.Required, name) || name == "identifiers" && r.shape.Identifiers > 0
	case isLine(path):
		return slices.Contains(r.shape.RequiredInLine(), name)
	}
	return len(path) == 2 && wire.Identifiers(path[0]) && name == "type"
}

func (r read) text(path []string, name string) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, MaxLength: whole(wire.MaxStringBytes)}
	field := name
	if n := len(path); name == "" && n > 0 {
		field = path[n-1]
	}
	needed := name != "" && r.needs(path, name)
	switch {
	case field == "channel" || field == "channels":
		for _, c := range event.ChannelClasses {
			s.Enum = append(s.Enum, c)
		}
		if !needed {
			s.Enum = append(s.Enum, "")
		}
		if !needed && name != "" {
			s.Enum = append(s.Enum, nil)
		}
	case field == "currency":
		s.Pattern, s.Description = pattern("[A-Z]{3}", needed), "ISO 4217"
	case field == "gtin":
		s.Pattern, s.Description = pattern("[0-9]{8}|[0-9]{12,14}", needed), "with its check digit"
	case needed:
		s.MinLength = whole(1)
	}
	s.Nullable = !needed && name != ""
	return s
}

// pattern matches the whole text, and an empty one if that stands for nothing.
func pattern(p string, needed bool) string {
	if needed {
		return "^(" + p + ")$"
	}
	return "^(" + p + ")?$"
}

func (r read) integer(path []string, name string) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeInteger, Minimum: number(0), Maximum: number(wire.MaxInteger)}
	switch {
	case name == "quantity":
		s.Minimum, s.Maximum = number(float64(r.shape.LeastQuantity)), number(wire.MaxQuantity)
		if r.shape.NoZero {
			s.Not = &huma.Schema{Enum: []any{0}}
		}
	case name == "line" && isLine(path):
		s.Minimum = number(1)
	}
	return r.given(path, name, s)
}

// given is a schema of a value; in place of an optional one null or "" may stand.
func (r read) given(path []string, name string, s *huma.Schema) *huma.Schema {
	if r.needs(path, name) {
		return s
	}
	return optional(s)
}

// optional lets null and "" stand for a value that is not given.
func optional(s *huma.Schema) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{s, {Enum: []any{nil, ""}}}}
}

func (r read) boolean(path []string, name string) *huma.Schema {
	return r.given(path, name, &huma.Schema{Type: huma.TypeBoolean})
}

func (r read) bytes(path []string, name string) *huma.Schema {
	return r.given(path, name, &huma.Schema{Type: huma.TypeString, Pattern: "^([0-9a-fA-F]{2})*$", Description: "hex digits"})
}

func (r read) time(path []string, name string) *huma.Schema {
	if isDuration(name) {
		return r.given(path, name, &huma.Schema{Type: huma.TypeInteger, Minimum: number(0), Description: "microseconds"})
	}
	return r.given(path, name, &huma.Schema{Type: huma.TypeString, Format: "date-time"})
}

func (r read) decimal(path []string, name string) *huma.Schema {
	n := &huma.Schema{Type: huma.TypeNumber, Minimum: number(0)}
	text := `^[0-9]+(\.[0-9]{1,6}0*)?$`
	if limit, ok := wire.Measured(name); ok {
		n.Minimum, n.Maximum, text = number(-limit), number(limit), `^-?[0-9]+(\.[0-9]+)?$`
	}
	if name == "unit_price" && r.shape.Priced {
		n.Minimum, n.ExclusiveMinimum = nil, number(0)
	}
	s := &huma.Schema{AnyOf: []*huma.Schema{n, {Type: huma.TypeString, Pattern: text, Description: "decimal number"}}}
	if !r.needs(path, name) {
		s.AnyOf = append(s.AnyOf, &huma.Schema{Enum: []any{nil, ""}})
	}
	return s
}

func (r read) list(path []string, name string, l *huma.Schema) *huma.Schema {
	l.MaxItems = whole(wire.MaxItems)
	switch {
	case name == "lines" && len(path) == 0:
		l.MaxItems = whole(wire.MaxLines)
		if r.shape.Lines {
			l.MinItems = whole(1)
		}
	case wire.Identifiers(name):
		l.MaxItems = whole(wire.MaxIdentifiers)
		if name == "identifiers" && r.shape.Identifiers > 0 {
			l.MinItems = whole(r.shape.Identifiers)
		}
	}
	if name == "lines" && r.shape.Lines {
		return l
	}
	return r.given(path, name, l)
}

func (r read) absent(path []string, name string, o *huma.Schema) *huma.Schema {
	return r.given(path, name, o)
}

func (r read) object(path []string, name string, o *huma.Schema) *huma.Schema {
	inside := path
	if name != "" || len(path) > 0 { // not the event itself
		inside = append(slices.Clone(path), name)
	}
	for field := range o.Properties {
		if r.needs(inside, field) || len(inside) == 0 && field == "lines" && r.shape.Lines {
			o.Required = append(o.Required, field)
		}
	}
	slices.Sort(o.Required)
	return o
}
