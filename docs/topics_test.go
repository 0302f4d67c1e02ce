// Package docs_test keeps what the documents say true: it reads their examples
// and tables as a user would and holds them against the code.
package docs_test

import (
	"encoding/json"
	"go/ast"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
	"anabranch.dev/topology/retail"
)

// Every input example decodes, and every type that the topology takes from
// outside has one.
func TestInputExamples(t *testing.T) {
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, in := range plan.Inputs {
		missing[in.Type] = slices.ContainsFunc(wire.Shapes(), func(s wire.Shape) bool { return s.Type == in.Type })
	}
	maps.DeleteFunc(missing, func(_ string, outside bool) bool { return !outside }) // the API's own
	for _, b := range blocks(t, "topics.md", "json", "input") {
		e, _ := decode(t, b)
		delete(missing, e.Type)
		if p, ok := e.Payload.Value.(*event.PolicyPublished); ok {
			if faults := policy.Check(p); len(faults) > 0 {
				t.Errorf("line %d: %v", b.line, faults)
			}
		}
	}
	for _, eventType := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("topics.md has no example of %s", eventType)
	}
}

func TestCloudEventsExamples(t *testing.T) {
	for _, b := range blocks(t, "topics.md", "json", "structured") {
		decode(t, b, connectors.Header{Key: "content-type", Value: []byte("application/cloudevents+json")})
	}
	for _, b := range blocks(t, "topics.md", "json", "binary") {
		decode(t, b, connectors.Header{Key: "ce_id", Value: []byte("1")}, connectors.Header{Key: "ce_source", Value: []byte("test")},
			connectors.Header{Key: "ce_type", Value: []byte(b.info[2])}, connectors.Header{Key: "ce_time", Value: []byte("2026-11-20T15:00:00Z")})
	}
	for _, b := range blocks(t, "topics.md", "json", "mark") {
		decode(t, b)
	}
}

// Every output example has exactly the fields that the encoder writes, at all
// depths, and every output type has one.
func TestOutputExamples(t *testing.T) {
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := wire.NewEncoder(wire.EncoderConfig{Cluster: "dev", Topics: retail.DefaultTopics(), Program: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	cause := operators.Cause{Topic: retail.TopicSales, Time: 1}
	samples := map[string]operators.Record{core.DeadLetterType: {Type: core.DeadLetterType}}
	letter := samples[core.DeadLetterType]
	letter.Payload.Value = &operators.DeadLetter{Cause: cause}
	samples[core.DeadLetterType] = letter
	for _, s := range plan.Sinks {
		r := operators.Record{Type: s.Port.Name, Cause: cause}
		r.Payload.Value = s.Port.New()
		switch v := r.Payload.Value.(type) {
		case *event.AllocationDecided:
			v.Lines = []event.DecidedLine{{Parts: make([]event.Part, 1)}}
		case *event.AllocationReleased:
			v.Lines = []event.ReleasedLine{{Parts: make([]event.Part, 1)}}
		case *event.StockAlert:
			v.Places = make([]event.StockThere, 1)
		}
		samples[s.Port.Name] = r
	}
	missing := maps.Clone(samples)
	delete(missing, "allocation.failed") // as allocation.decided
	for _, b := range blocks(t, "topics.md", "json", "output") {
		var got map[string]any
		if err := json.Unmarshal([]byte(b.text), &got); err != nil {
			t.Fatalf("line %d: %v", b.line, err)
		}
		eventType, _ := got["type"].(string)
		sample, known := samples[eventType]
		if !known {
			t.Errorf("line %d: type %q goes out nowhere", b.line, eventType)
			continue
		}
		delete(missing, eventType)
		value, err := encoder.Value(&sample)
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := json.Unmarshal(value, &want); err != nil {
			t.Fatal(err)
		}
		delete(got, "fields") // what is in it depends on the record
		delete(want, "fields")
		if g, w := shape("", got), shape("", want); !slices.Equal(g, w) {
			t.Errorf("line %d: %s has the fields\n%v, want\n%v", b.line, eventType, g, w)
		}
		if id, _ := got["id"].(string); eventType != core.DeadLetterType {
			if _, _, ok := core.ParseDecisionID(id); !ok {
				t.Errorf("line %d: %q is no decision id", b.line, id)
			}
		}
	}
	for _, eventType := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("topics.md has no example of %s", eventType)
	}
}

// shape lists the paths of all fields of a JSON value; items of lists share one.
func shape(at string, v any) (paths []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, one := range v {
			paths = append(paths, at+"."+name)
			paths = append(paths, shape(at+"."+name, one)...)
		}
	case []any:
		for _, one := range v {
			paths = append(paths, shape(at+"[]", one)...)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// The tables of codes name every code that the code has, and no other.
func TestCodes(t *testing.T) {
	b, err := os.ReadFile("topics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(b), "\n## Codes of dead letters\n")
	if !ok {
		t.Fatal("topics.md has no section about codes")
	}
	said := map[string]bool{"payload_undecodable": false} // has no constant
	for line := range strings.Lines(section) {
		if row, ok := strings.CutPrefix(line, "| `"); ok {
			code, _, _ := strings.Cut(row, "`")
			said[code] = false
		}
	}
	for code, where := range codes(t, "../connectors/wire", "../operators") {
		if _, ok := said[code]; !ok {
			t.Errorf("topics.md says nothing of %s, of %s", code, where)
		}
		said[code] = true
	}
	for code, known := range said {
		if !known && code != "payload_undecodable" {
			t.Errorf("topics.md has code %s, which nothing gives", code)
		}
	}
}

// operating.md lists every metric, and no other.
func TestMetrics(t *testing.T) {
	b, err := os.ReadFile("operating.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if cell, _, ok := strings.Cut(strings.TrimPrefix(line, "|"), "|"); ok && strings.HasPrefix(cell, " `anabranch_") {
			for name := range strings.SplitSeq(cell, ",") {
				said[strings.Trim(name, " `")] = true
			}
		}
	}
	made := map[string]bool{}
	walk(t, func(_ string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(lit.Value, "\"anabranch_") {
				made[strings.Trim(lit.Value, "\"")] = true
			}
			return true
		})
	}, "../internal", "../engine", "../connectors")
	if len(made) < 20 || !maps.Equal(said, made) {
		t.Errorf("operating.md names the metrics\n%v, there are\n%v", slices.Sorted(maps.Keys(said)), slices.Sorted(maps.Keys(made)))
	}
}

// The policy that operating.md shows can be published.
func TestPolicyExample(t *testing.T) {
	for _, b := range blocks(t, "operating.md", "yaml", "policy") {
		var doc map[string]any
		if err := yaml.Unmarshal([]byte(b.text), &doc); err != nil {
			t.Fatalf("line %d: %v", b.line, err)
		}
		maps.Copy(doc, map[string]any{"id": "1", "source": "test", "type": "policy.published", "time": "2026-11-20T15:00:00Z"})
		body, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		e, _ := decode(t, block{line: b.line, text: string(body)})
		p, ok := e.Payload.Value.(*event.PolicyPublished)
		if !ok {
			t.Fatalf("line %d: no policy", b.line)
		}
		if faults := policy.Check(p); len(faults) > 0 {
			t.Errorf("line %d: %v", b.line, faults)
		}
	}
}
