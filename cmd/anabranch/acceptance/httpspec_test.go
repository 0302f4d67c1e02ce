package acceptance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// request is one to be sent, answer what came back.
type request struct {
	method, url string
	body        string
	headers     map[string]string
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// String implements fmt.Stringer.
func (r *request) String() string {
	return fmt.Sprintf("%s %s %v %q", r.method, cut(r.url, 200), r.headers, cut(r.body, 200))
}

func cut(s string, most int) string {
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// spec is an OpenAPI document as a client reads it.
type spec struct {
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema // by pointer into the document
	ops      []*operation
	Paths    map[string]map[string]*operation
}

// operation is one operation of it, Responses by status and media type.
type operation struct {
	path, method string
	OperationID  string `json:"operationId"`
	Parameters   []struct {
		Name, In string
		Required bool
		Schema   struct {
			Type           any
			Enum           []any
			MaxLength      int
			Pattern        string
			Minimum        *float64
			ContentMedia   string `json:"contentMediaType"`
			AdditionalInfo string `json:"description"`
		}
		Example any
	}
	RequestBody *struct {
		Content map[string]json.RawMessage
	}
	Responses map[string]struct {
		Content map[string]json.RawMessage
		Headers map[string]json.RawMessage
	}
}

func readSpec(t *testing.T, text []byte) *spec {
	t.Helper()
	s := &spec{compiled: map[string]*jsonschema.Schema{}}
	if err := json.Unmarshal(text, s); err != nil {
		t.Fatalf("openapi.json: %v", err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	s.compiler = jsonschema.NewCompiler()
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource("openapi.json", v); err != nil {
		t.Fatal(err)
	}
	return s
}

// operations lists the operations to be tried. Those that move leaders come
// last; the live feed has no end, and is read by others.
func (s *spec) operations(t *testing.T) []*operation {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(s.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(s.Paths[path])) {
			op := s.Paths[path][method]
			op.path, op.method = path, strings.ToUpper(method)
			if op.path != "/v1/live" {
				s.ops = append(s.ops, op)
			}
		}
	}
	slices.SortStableFunc(s.ops, func(a, b *operation) int {
		return strings.Compare(strings.TrimSuffix(a.path, "/transfer"), strings.TrimSuffix(b.path, "/transfer"))
	})
	if i := slices.IndexFunc(s.ops, func(o *operation) bool { return strings.HasSuffix(o.path, "/transfer") }); i >= 0 {
		s.ops = append(slices.Delete(slices.Clone(s.ops), i, i+1), s.ops[i])
	}
	if len(s.ops) < 15 {
		t.Fatalf("the document has only %d operations", len(s.ops))
	}
	return s.ops
}

// judge says what is wrong with an answer.
func (s *spec) judge(op *operation, a *answer) (faults []string) {
	status := strconv.Itoa(a.status)
	described, ok := op.Responses[status]
	if !ok {
		return []string{"the status is not described"}
	}
	if a.status >= 500 && a.status != http.StatusServiceUnavailable && a.status != http.StatusGatewayTimeout {
		faults = append(faults, "something inside went wrong")
	}
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if _, ok := described.Content[media]; err != nil || !ok {
		return append(faults, fmt.Sprintf("the content type %q is not described", a.header.Get("Content-Type")))
	}
	for name := range described.Headers {
		if a.header.Get(name) == "" {
			faults = append(faults, "the header "+name+" is missing")
		}
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
	if err != nil {
		return append(faults, err.Error())
	}
	schema, err := s.schema("paths", op.path, strings.ToLower(op.method), "responses", status, "content", media, "schema")
	if err != nil {
		return append(faults, err.Error())
	}
	if err := schema.Validate(v); err != nil {
		faults = append(faults, err.Error())
	}
	if media == "application/problem+json" {
		faults = append(faults, judgeProblem(a)...)
	}
	return faults
}

// judgeProblem says what RFC 9457 and our own rules find wrong with a problem.
func judgeProblem(a *answer) (faults []string) {
	var p struct {
		Status              int
		Title, Detail, Code string
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		return []string{err.Error()}
	}
	if p.Status != a.status || p.Title != http.StatusText(a.status) {
		faults = append(faults, fmt.Sprintf("the document says %d %q", p.Status, p.Title))
	}
	if p.Code == "" || p.Detail == "" {
		faults = append(faults, "no code or no detail")
	}
	return faults
}

// schema compiles what is at a place of the document.
func (s *spec) schema(place ...string) (*jsonschema.Schema, error) {
	pointer := ""
	for _, p := range place {
		pointer += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
	}
	if got := s.compiled[pointer]; got != nil {
		return got, nil
	}
	schema, err := s.compiler.Compile("openapi.json#" + pointer)
	if err == nil {
		s.compiled[pointer] = schema
	}
	return schema, err
}

// liveRecords gathers what a node's live feed says until it is judged.
type liveRecords struct {
	body io.Closer
	done chan struct{}
	got  []liveRecord // after done
}

type liveRecord struct{ id, event, data string }

// follow reads a node's live feed.
func (c *apis) follow(node int) *liveRecords {
	c.t.Helper()
	resp, err := http.Get(c.base[node] + "/v1/live")
	if err != nil {
		c.t.Fatal(err)
	}
	l := &liveRecords{body: resp.Body, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		var one liveRecord
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				one.id = value
			case "event":
				one.event = value
			case "data":
				one.data = value
				l.got = append(l.got, one)
				one = liveRecord{}
			}
		}
	}()
	c.t.Cleanup(func() { resp.Body.Close() })
	return l
}

// judge ends the feed, holds every record against its published schema, and
// counts them by type.
func (l *liveRecords) judge(t *testing.T) map[string]int {
	t.Helper()
	_ = l.body.Close()
	<-l.done
	types := map[string]int{}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for _, one := range l.got {
		types[one.event]++
		if one.event == "lost" {
			continue
		}
		schema, err := compiler.Compile(filepath.Join("../../../docs/schemas/out", one.event+".json"))
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(one.data))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil || !strings.Contains(one.data, strconv.Quote(one.id)) {
			t.Errorf("live feed: %s %s: %v\n%s", one.event, one.id, err, one.data)
		}
	}
	return types
}
