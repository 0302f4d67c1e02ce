package main

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// What is in docs is what the code says.
func TestCurrent(t *testing.T) {
	want, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("docs/%s is stale (%v): run 'go generate ./docs'", name, err)
		}
	}
	err = filepath.WalkDir(filepath.Join("..", schemaFolder), func(path string, d fs.DirEntry, err error) error {
		if name, _ := filepath.Rel("..", path); err == nil && !d.IsDir() && want[name] == nil {
			t.Errorf("docs/%s describes nothing any more: run 'go generate ./docs'", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A second run gives the same bytes, and takes away what is not written any more.
func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, schemaFolder, "in", "order.forgotten.json")
	if err := os.MkdirAll(filepath.Dir(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := generate(dir); err != nil {
		t.Fatal(err)
	}
	want, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			got = append(got, name)
			text, _ := os.ReadFile(path)
			if !bytes.Equal(text, want[name]) {
				t.Errorf("%s differs from run to run", name)
			}
		}
		return err
	})
	if names := slices.Sorted(maps.Keys(want)); err != nil || !slices.Equal(got, names) {
		t.Errorf("generated %v, %v; want %v", got, err, names)
	}
}

// The documents are what their formats' own schemas ask for, and every schema in
// them compiles.
func TestFormats(t *testing.T) {
	files, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	for name, format := range map[string]string{"openapi.json": "openapi-3.1.json", "asyncapi.json": "asyncapi-3.0.0.json"} {
		c := jsonschema.NewCompiler()
		schema, err := c.Compile(filepath.Join("testdata", format))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(parse(t, files[name])); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	schemas(t, files)
}

// parse reads JSON as the validator wants it.
func parse(t *testing.T, text []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// schemas compiles the schemas of all events, by type.
func schemas(t *testing.T, files map[string][]byte) map[string]*jsonschema.Schema {
	t.Helper()
	compiled := map[string]*jsonschema.Schema{}
	for name, text := range files {
		if filepath.Dir(filepath.Dir(name)) != schemaFolder {
			continue
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource(name, parse(t, text)); err != nil {
			t.Fatal(err)
		}
		schema, err := c.Compile(name)
		if err != nil {
			t.Fatal(err)
		}
		compiled[filepath.Base(name[:len(name)-len(".json")])] = schema
	}
	if len(compiled) < 20 {
		t.Fatalf("only %d schemas: %v", len(compiled), slices.Sorted(maps.Keys(compiled)))
	}
	return compiled
}
