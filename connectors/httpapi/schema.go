package httpapi

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// schemaOf derives the JSON schema of a visitable from the fields it lists, so
// that the OpenAPI document can't say anything else than what is sent.
func schemaOf(v state.Visitable) *huma.Schema {
	s := &schemaVisitor{}
	s.open()
	v.Visit(s)
	return s.close()
}

// schemaVisitor collects fields; stack holds the objects being described.
type schemaVisitor struct {
	stack []*huma.Schema
	names []string
}

func (s *schemaVisitor) open() {
	s.stack = append(s.stack, &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}})
}

func (s *schemaVisitor) close() *huma.Schema {
	top := s.stack[len(s.stack)-1]
	s.stack = s.stack[:len(s.stack)-1]
	return top
}

// add puts a field into the innermost object or, unnamed, makes it the item of
// the innermost list.
func (s *schemaVisitor) add(name string, f *huma.Schema) {
	top := s.stack[len(s.stack)-1]
	if top.Type == huma.TypeArray {
		top.Items = f
		return
	}
	top.Properties[name] = f
}

func (s *schemaVisitor) Level() uint8 { return 255 }

func (s *schemaVisitor) Int(name string, _ *int64) {
	s.add(name, &huma.Schema{Type: huma.TypeInteger, Format: "int64"})
}

func (s *schemaVisitor) Uint(name string, _ *uint64) {
	zero := 0.0
	s.add(name, &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &zero})
}

func (s *schemaVisitor) Bool(name string, _ *bool) {
	s.add(name, &huma.Schema{Type: huma.TypeBoolean})
}

func (s *schemaVisitor) String(name string, _ *string) {
	s.add(name, &huma.Schema{Type: huma.TypeString})
}

func (s *schemaVisitor) Bytes(name string, _ *[]byte) {
	s.add(name, &huma.Schema{Type: huma.TypeString, Description: "hex digits"})
}

func (s *schemaVisitor) Time(name string, _ *state.Time) {
	if strings.HasSuffix(name, "_us") {
		s.add(name, &huma.Schema{Type: huma.TypeInteger, Format: "int64", Description: "microseconds"})
		return
	}
	s.add(name, &huma.Schema{Type: huma.TypeString, Format: "date-time", Nullable: true})
}

func (s *schemaVisitor) Decimal(name string, _ *state.Decimal) {
	if name == "lat" || name == "lon" {
		s.add(name, &huma.Schema{Type: huma.TypeNumber, Description: "degrees"})
		return
	}
	s.add(name, &huma.Schema{Type: huma.TypeString, Description: "decimal number"})
}

func (s *schemaVisitor) Nested(name string, _ state.Visitable, _ *[]byte) {
	s.add(name, &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true})
}

func (s *schemaVisitor) BeginStruct(name string) {
	s.names = append(s.names, name)
	s.open()
}

func (s *schemaVisitor) EndStruct() {
	o := s.close()
	s.end(o)
}

func (s *schemaVisitor) end(o *huma.Schema) {
	name := s.names[len(s.names)-1]
	s.names = s.names[:len(s.names)-1]
	s.add(name, o)
}

func (s *schemaVisitor) BeginOptional(name string, _ bool) bool {
	s.BeginStruct(name)
	return true
}

func (s *schemaVisitor) EndOptional() {
	o := s.close()
	o.Nullable = true
	s.end(o)
}

// BeginList asks for one item, which describes all.
func (s *schemaVisitor) BeginList(name string, _ int) int {
	s.names = append(s.names, name)
	s.stack = append(s.stack, &huma.Schema{Type: huma.TypeArray})
	return 1
}

func (s *schemaVisitor) EndList() { s.EndStruct() }

// envelope adds an event's envelope fields to its payload's schema.
func envelope(payload *huma.Schema) *huma.Schema {
	for _, name := range []string{"id", "source", "type"} {
		payload.Properties[name] = &huma.Schema{Type: huma.TypeString}
	}
	payload.Properties["time"] = &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: "event time"}
	return payload
}

// schemas documents operations whose bodies huma does not know the type of.
type schemas struct{ registry huma.Registry }

func newSchemas(r huma.Registry) *schemas { return &schemas{registry: r} }

// named registers a schema under a name and returns a reference to it.
func (s *schemas) named(name string, schema *huma.Schema) *huma.Schema {
	s.registry.Map()[name] = schema
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

// answer is the schema of a query's answer.
func (s *schemas) answer(p *topology.Plan, stage, query, name string) *huma.Schema {
	q := p.Query(stage, query)
	if q == nil {
		return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
	}
	return s.named(name, schemaOf(q.NewAnswer()))
}

// event is the schema of an input event's body.
func (s *schemas) event(p *topology.Plan, eventType, name string) *huma.Schema {
	in := p.Input(eventType)
	if in == nil {
		return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
	}
	return s.named(name, envelope(schemaOf(in.Port.New())))
}

// document sets the schemas of an operation after it was registered, because
// huma describes raw bodies as binary.
func (s *schemas) document(op *huma.Operation, request, response *huma.Schema) {
	if request != nil {
		op.RequestBody.Content["application/json"].Schema = request
	}
	if response != nil {
		op.Responses[strconv.Itoa(http.StatusOK)].Content = map[string]*huma.MediaType{
			"application/json": {Schema: response}}
	}
	op.Responses["default"] = &huma.Response{Description: "A problem document, RFC 9457",
		Content: map[string]*huma.MediaType{"application/problem+json": {
			Schema: s.registry.Schema(reflect.TypeFor[Problem](), true, "Problem")}}}
}
