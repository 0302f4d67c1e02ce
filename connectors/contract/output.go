package contract

import (
	"maps"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/topology"
)

// Event describes one event type that comes in or goes out.
type Event struct {
	Type string
	// Topic is the alias of its topic; empty if it comes by the API alone.
	Topic  string
	Schema *huma.Schema
}

// Outputs describes what a plan sends out, dead letters included, in the order
// of the plan.
func Outputs(p *topology.Plan) []Event {
	var list []Event
	for _, s := range p.Sinks {
		o := Of(s.Port.New())
		addField(o, "cause", causeSchema())
		list = append(list, Event{Type: s.Port.Name, Topic: s.Topic, Schema: outEnvelope(o, s.Port.Name)})
	}
	return append(list, Event{Type: core.DeadLetterType, Topic: topology.DeadLetterTopic,
		Schema: outEnvelope(deadLetter(), core.DeadLetterType)})
}

// outEnvelope adds what every record carries.
func outEnvelope(o *huma.Schema, eventType string) *huma.Schema {
	addField(o, "id", &huma.Schema{Type: huma.TypeString, Description: "decision id: the same on every replica and after every retry"})
	addField(o, "source", &huma.Schema{Type: huma.TypeString, Pattern: "^anabranch/", Description: "anabranch/<cluster>"})
	addField(o, "type", &huma.Schema{Type: huma.TypeString, Enum: []any{eventType}})
	addField(o, "time", &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: "log time"})
	addField(o, "key", &huma.Schema{Type: huma.TypeString})
	addField(o, "number", &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: number(0), Description: "per key, from 1, without gaps"})
	return o
}

func addField(o *huma.Schema, name string, f *huma.Schema) {
	o.Properties[name] = f
	if !slices.Contains(o.Required, name) {
		o.Required = append(o.Required, name)
		slices.Sort(o.Required)
	}
}

// positionSchema is a cause in a topic, sourceSchema one that came by the API.
func positionSchema() *huma.Schema {
	o := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
	addField(o, "topic", &huma.Schema{Type: huma.TypeString})
	addField(o, "partition", &huma.Schema{Type: huma.TypeInteger})
	addField(o, "offset", &huma.Schema{Type: huma.TypeInteger, Format: "int64"})
	addField(o, "id", &huma.Schema{Type: huma.TypeString})
	return o
}

func sourceSchema() *huma.Schema {
	o := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
	addField(o, "source", &huma.Schema{Type: huma.TypeString})
	addField(o, "id", &huma.Schema{Type: huma.TypeString})
	return o
}

func causeSchema() *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{positionSchema(), sourceSchema()},
		Description: "the event that led to this: a position in a topic, or the source of an event of the API"}
}

// deadLetter is what wire writes of an [operators.DeadLetter].
func deadLetter() *huma.Schema {
	o := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
	for name, doc := range map[string]string{"reason": "stable code", "stage": "where it failed", "failed": "type of what failed", "failed_key": "what it was addressed to"} {
		addField(o, name, &huma.Schema{Type: huma.TypeString, Description: doc})
	}
	position := positionSchema()
	for _, name := range []string{"topic_id", "source"} {
		addField(position, name, &huma.Schema{Type: huma.TypeString})
	}
	origin := &huma.Schema{AnyOf: []*huma.Schema{position, sourceSchema()}}
	for _, one := range origin.AnyOf {
		addField(one, "index", &huma.Schema{Type: huma.TypeInteger, Format: "int64"})
		addField(one, "time", &huma.Schema{Type: huma.TypeString, Format: "date-time", Nullable: true})
	}
	addField(o, "origin", origin)
	addField(o, "hash", written{}.bytes(nil, ""))
	addField(o, "fields", &huma.Schema{Type: huma.TypeObject, Description: "what may be shown of the event",
		AdditionalProperties: &huma.Schema{Type: huma.TypeString}})
	versions := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
	addField(versions, "wire", &huma.Schema{Type: huma.TypeInteger})
	addField(versions, "program", &huma.Schema{Type: huma.TypeString})
	addField(o, "versions", versions)
	return o
}

// DeadLetter is the schema of a dead letter as the API shows it.
func DeadLetter() *huma.Schema {
	o := Of(&operators.DeadLetter{})
	delete(o.Properties, "port")
	o.Required = slices.DeleteFunc(o.Required, func(name string) bool { return name == "port" || name == "payload" })
	return o
}

// written describes values as wire writes them.
type written struct{}

func (written) text([]string, string) *huma.Schema { return &huma.Schema{Type: huma.TypeString} }

func (written) integer([]string, string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
}

func (written) boolean([]string, string) *huma.Schema { return &huma.Schema{Type: huma.TypeBoolean} }

func (written) bytes([]string, string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: "^([0-9a-f]{2})*$", Description: "hex digits"}
}

func (written) time(_ []string, name string) *huma.Schema {
	if isDuration(name) {
		return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Description: "microseconds"}
	}
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Nullable: true}
}

func (written) decimal(_ []string, name string) *huma.Schema {
	if limit, ok := wire.Measured(name); ok {
		return &huma.Schema{Type: huma.TypeNumber, Minimum: number(-limit), Maximum: number(limit)}
	}
	return &huma.Schema{Type: huma.TypeString, Pattern: `^-?[0-9]+\.[0-9]{2,6}$`, Description: "decimal number"}
}

func (written) list(_ []string, _ string, l *huma.Schema) *huma.Schema { return l }

func (written) object(_ []string, _ string, o *huma.Schema) *huma.Schema {
	o.Required = slices.Sorted(maps.Keys(o.Properties))
	return o
}

func (written) absent(_ []string, _ string, o *huma.Schema) *huma.Schema {
	o.Nullable = true
	return o
}
