package httpapi

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"anabranch.dev/connectors/contract"
	"anabranch.dev/topology"
)

// schemas documents operations whose bodies huma does not know the type of.
type schemas struct{ registry huma.Registry }

func newSchemas(r huma.Registry) *schemas { return &schemas{registry: r} }

// named registers a schema under a name and returns a reference to it.
func (s *schemas) named(name string, schema *huma.Schema) *huma.Schema {
	s.registry.Map()[name] = schema
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

// anything is any object.
func anything() *huma.Schema { return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true} }

// answer is the schema of a query's answer.
func (s *schemas) answer(p *topology.Plan, stage, query, name string) *huma.Schema {
	q := p.Query(stage, query)
	if q == nil {
		return anything()
	}
	return s.named(name, contract.Of(q.NewAnswer()))
}

// event is the schema of an input event's body, of whose envelope nothing needs
// to be there.
func (s *schemas) event(p *topology.Plan, eventType string) *huma.Schema {
	body := contract.Body(eventType)
	if body == nil || p.Input(eventType) == nil {
		return anything()
	}
	return s.named(eventType, body)
}

// anyEvent is the schema of a body with any event that the plan takes. What it
// is must be said, and its id.
func (s *schemas) anyEvent(p *topology.Plan) *huma.Schema {
	any := &huma.Schema{Description: "one event with its envelope; source and time may be left out"}
	for _, in := range p.Inputs {
		if contract.Body(in.Type) == nil {
			continue // the API's own
		}
		any.AnyOf = append(any.AnyOf, &huma.Schema{AllOf: []*huma.Schema{s.event(p, in.Type), {Required: []string{"id", "type"}}}})
	}
	return any
}

// document sets the schemas of an operation after it was registered, because
// huma describes raw bodies as binary, and what may go wrong.
func (s *schemas) document(path string, op *huma.Operation, request, response *huma.Schema) {
	if request != nil {
		op.RequestBody.Content["application/json"].Schema = request
	}
	if response != nil {
		op.Responses[strconv.Itoa(http.StatusOK)].Content = map[string]*huma.MediaType{
			"application/json": {Schema: response}}
	}
	for _, own := range []string{"default", "422", "500"} {
		delete(op.Responses, own)
	}
	for _, status := range problemsOf(path, op.Method) {
		op.Responses[strconv.Itoa(status)] = s.problem(status)
	}
}

// problem describes the problem documents of one status.
func (s *schemas) problem(status int) *huma.Response {
	r := &huma.Response{Description: fmt.Sprintf("A problem document (RFC 9457). Codes: %s.", strings.Join(codesOf[status], ", ")),
		Content: map[string]*huma.MediaType{"application/problem+json": {
			Schema: s.registry.Schema(reflect.TypeFor[Problem](), true, "Problem")}}}
	if slices.Contains([]int{http.StatusTooManyRequests, http.StatusServiceUnavailable}, status) {
		r.Headers = map[string]*huma.Param{"Retry-After": {Description: "seconds", Schema: &huma.Schema{Type: huma.TypeInteger}}}
	}
	return r
}

// problemsOf lists the statuses of the problems that an operation may answer
// with, whatever it is given.
func problemsOf(path, method string) []int {
	if !strings.HasPrefix(path, "/v1/") {
		return nil
	}
	list := []int{http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
	if path == livePath {
		return list[:2]
	}
	if counted(path) || method == http.MethodPost {
		list = append(list, http.StatusTooManyRequests)
	}
	if method == http.MethodPost {
		list = append(list, http.StatusRequestTimeout, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	return append(list, http.StatusBadRequest, http.StatusNotFound)
}
