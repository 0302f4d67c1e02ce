package contract

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"anabranch.dev/topology"
)

// SchemaDialect is the JSON Schema dialect of all schemas.
const SchemaDialect = "https://json-schema.org/draft/2020-12/schema"

// object is a part of the AsyncAPI document.
type object = map[string]any

// AsyncAPI is the AsyncAPI 3.0 document of a plan's topics. topics gives each
// alias its name in Kafka.
func AsyncAPI(p *topology.Plan, topics map[string]string, version string) ([]byte, error) {
	d := &asyncDocument{plan: p, channels: object{}, operations: object{}, messages: object{}, schemas: object{}}
	for _, topic := range p.Topics {
		d.topic(topic, topics[topic.Alias])
	}
	if d.channels[topology.DeadLetterTopic] == nil {
		d.topic(topology.Topic{Alias: topology.DeadLetterTopic}, topics[topology.DeadLetterTopic])
	}
	for _, e := range Inputs(p) {
		if e.Topic != "" { // else it comes by the API alone
			d.event(e, inHeaders())
		}
	}
	for _, e := range Outputs(p) {
		d.event(e, outHeaders())
	}
	return indent(object{
		"asyncapi": "3.0.0",
		"info": object{"title": "Anabranch topics", "version": version,
			"description": "Events that a cluster reads from Kafka and writes to it, in the topology " + p.Name + ". Consumers read committed and ignore fields that they do not know.",
			"license":     object{"name": "Apache-2.0"}},
		"defaultContentType": "application/json",
		"channels":           d.channels,
		"operations":         d.operations,
		"components":         object{"messages": d.messages, "schemas": d.schemas},
	})
}

type asyncDocument struct {
	plan                                    *topology.Plan
	channels, operations, messages, schemas object
}

// topic adds a topic with what the cluster does with it.
func (d *asyncDocument) topic(t topology.Topic, name string) {
	channel := object{"address": name, "messages": object{}}
	if t.Compacted {
		channel["bindings"] = object{"kafka": object{"topicConfiguration": object{"cleanup.policy": []string{"compact"}}, "bindingVersion": "0.5.0"}}
	}
	d.channels[t.Alias] = channel
	action := "send"
	if t.Input {
		action = "receive"
	}
	d.operations[action+"."+t.Alias] = object{"action": action, "channel": reference("channels", t.Alias)}
}

// event adds an event type to its topic.
func (d *asyncDocument) event(e Event, headers *huma.Schema) {
	d.schemas[e.Type] = e.Schema
	d.messages[e.Type] = object{"name": e.Type, "title": e.Type, "headers": headers,
		"payload": reference("components/schemas", e.Type)}
	channel := d.channels[e.Topic].(object)
	channel["messages"].(object)[e.Type] = reference("components/messages", e.Type)
}

func reference(where, name string) object { return object{"$ref": "#/" + where + "/" + name} }

// inHeaders may stand in for fields of the envelope.
func inHeaders() *huma.Schema {
	o := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
	for _, name := range []string{"ce_id", "ce_source", "ce_type", "ce_time", "content-type", "traceparent"} {
		o.Properties[name] = &huma.Schema{Type: huma.TypeString}
	}
	return o
}

// outHeaders are CloudEvents' in binary mode.
func outHeaders() *huma.Schema {
	o := inHeaders()
	for _, name := range []string{"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"} {
		addField(o, name, &huma.Schema{Type: huma.TypeString})
	}
	return o
}

// Document is an event's schema as a document of its own.
func (e *Event) Document() ([]byte, error) {
	b, err := json.Marshal(e.Schema)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", e.Type, err)
	}
	var o object
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	if err := decoder.Decode(&o); err != nil {
		return nil, fmt.Errorf("schema of %s: %w", e.Type, err)
	}
	o["$schema"], o["$id"], o["title"] = SchemaDialect, "https://anabranch.dev/schemas/"+e.Type+".json", e.Type
	return indent(o)
}

// indent writes a document for people and for version control: names in
// alphabetical order, one line each.
func indent(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
