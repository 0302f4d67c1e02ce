package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators"
)

// block is a fenced block of a document: the words behind the fence, and what
// is in it.
type block struct {
	line int
	info []string
	text string
}

// blocks lists a document's fenced blocks whose info string begins with words.
func blocks(t *testing.T, file string, words ...string) (found []block) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var open *block
	for i, line := range strings.Split(string(b), "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case !fence && open != nil:
			open.text += line + "\n"
		case fence && open == nil:
			open = &block{line: i + 1, info: strings.Fields(info)}
		case fence:
			if len(open.info) >= len(words) && slices.Equal(open.info[:len(words)], words) {
				found = append(found, *open)
			}
			open = nil
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no block marked %q", file, words)
	}
	return found
}

// decoder decodes with some key.
func decoder(t *testing.T) *wire.Decoder {
	t.Helper()
	key, err := wire.ParseKey(strings.Repeat("5a", wire.MinKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.NewPseudonymiser(wire.Privacy{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return wire.NewDecoder(p)
}

// decode decodes one record that must hold one good event or a mark.
func decode(t *testing.T, b block, headers ...connectors.Header) (e operators.Event, mark operators.Mark) {
	t.Helper()
	events := 0
	mark = decoder(t).Decode("sales", &connectors.RawRecord{Value: []byte(b.text), Headers: headers},
		func(one operators.Event) { e, events = one, events+1 })
	if e.Reject != nil {
		t.Errorf("line %d: refused: %s %v", b.line, e.Reject.Code, e.Reject.Fields)
	}
	if marks := len(b.info) > 1 && b.info[1] == "mark"; (mark.Time != 0) != marks || (events == 1) == marks {
		t.Errorf("line %d: %d events, mark %v", b.line, events, mark.Time)
	}
	return e, mark
}

// codes lists the string constants called Code… of all packages in folders.
func codes(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	walk(t, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if code, err := strconv.Unquote(lit.Value); err == nil {
					found[code] = path
				}
			}
			return true
		})
	}, folders...)
	if len(found) < 40 {
		t.Fatalf("only %d codes found: %v", len(found), found)
	}
	return found
}

// walk parses every source file below folders, tests apart.
func walk(t *testing.T, fn func(path string, file *ast.File), folders ...string) {
	t.Helper()
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err == nil {
				fn(path, file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
