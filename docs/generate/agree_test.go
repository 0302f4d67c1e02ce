package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators"
)

// examples are the JSON objects of topics.md that are marked with a word.
func examples(t *testing.T, word string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile("../topics.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []map[string]any
	for _, part := range strings.Split(string(text), "```json "+word+"\n")[1:] {
		body, _, _ := strings.Cut(part, "\n```")
		found = append(found, parse(t, []byte(body)).(map[string]any))
	}
	if len(found) < 5 {
		t.Fatalf("topics.md has only %d examples marked %q", len(found), word)
	}
	return found
}

// Every example of the documentation is what its schema describes.
func TestExamples(t *testing.T) {
	files, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	compiled := schemas(t, files)
	for _, word := range []string{"input", "output"} {
		for _, e := range examples(t, word) {
			schema := compiled[fmt.Sprint(e["type"])]
			if schema == nil {
				t.Errorf("type %v has no schema", e["type"])
			} else if err := schema.Validate(e); err != nil {
				t.Errorf("%s %v: %v", word, e["type"], err)
			}
		}
	}
}

// hostile values take the place of every value of the examples.
var hostile = []any{nil, "", "x", "a\u0000b", strings.Repeat("x", 1025), json.Number("0"), json.Number("-1"), json.Number("1.5"),
	json.Number("1000001"), json.Number("1000000001"), json.Number("91"), json.Number("1e3"), "12.34", "-0.01", "USD", "own_store",
	"2026-11-20T09:30:00Z", "yesterday", true, []any{}, map[string]any{}, []any{nil}, []any{"x"}, []any{map[string]any{}}}

// beyond are the codes of faults that a JSON Schema can't know: about several
// values together, text behind a pattern, or how a number is written.
var beyond = []string{wire.CodeUnknownType, wire.CodeGTINInvalid, wire.CodeCurrencyInvalid, wire.CodeTimeInvalid, wire.CodeStringInvalid, wire.CodeAmountAbsurd,
	wire.CodeLineDuplicate, wire.CodeIdentifierInvalid, wire.CodeMoneyInvalid, wire.CodeIntegerInvalid, wire.CodeQuantityInvalid, wire.CodePositionInvalid,
	wire.CodeSignalInvalid, wire.CodeIdentifiersMissing}

// The decoder and the schemas agree: what is decoded fits its schema, and what is
// refused does not, unless no schema could know.
func TestAgreeWithDecoder(t *testing.T) {
	files, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	compiled := schemas(t, files)
	key, err := wire.ParseKey(strings.Repeat("5a", wire.MinKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.NewPseudonymiser(wire.Privacy{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	decoder := wire.NewDecoder(p)
	taken, refused := 0, 0
	for _, example := range examples(t, "input") {
		schema := compiled[fmt.Sprint(example["type"])]
		spoil(example, "", func(at string) {
			text, err := json.Marshal(example)
			if err != nil {
				t.Fatal(err)
			}
			var e operators.Event
			decoder.Decode("", &connectors.RawRecord{Value: text}, func(one operators.Event) { e = one })
			fault := schema.Validate(parse(t, text))
			switch {
			case e.Reject == nil && fault != nil:
				t.Errorf("%s is decoded, but its schema says: %v\n%s", at, fault, text)
			case e.Reject != nil && fault == nil && !slices.Contains(beyond, e.Reject.Code):
				t.Errorf("%s fits its schema, but is refused: %s %v\n%s", at, e.Reject.Code, e.Reject.Fields, text)
			case fault == nil:
				taken++
			default:
				refused++
			}
		})
	}
	if taken < 200 || refused < 200 {
		t.Errorf("%d documents taken and %d refused: too few of one kind to say anything", taken, refused)
	}
}

// spoil puts every hostile value in the place of every value of o, one at a time,
// and leaves every value out.
func spoil(o map[string]any, at string, try func(at string)) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if at == "" && name == "type" {
			continue // another type has another schema
		}
		good := o[name]
		for i, bad := range hostile {
			o[name] = bad
			try(fmt.Sprintf("%s.%s with value %d", at, name, i))
		}
		delete(o, name)
		try(at + "." + name + " left out")
		o[name] = good
		switch v := good.(type) {
		case map[string]any:
			spoil(v, at+"."+name, try)
		case []any:
			if len(v) > 0 {
				if item, ok := v[0].(map[string]any); ok {
					spoil(item, at+"."+name+"[0]", try)
				}
			}
		}
	}
}
