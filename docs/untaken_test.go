package docs_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/topology/retail"
)

// topics.md says of every type that can be read whether a stage takes it.
func TestUntakenTypes(t *testing.T) {
	text, err := os.ReadFile("topics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Input types that no stage takes yet\n")
	if !ok {
		t.Fatal("topics.md has no section about types that no stage takes")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var said []string
	types := false // the table at hand has types in its first column
	for line := range strings.Lines(section) {
		types = strings.HasPrefix(line, "| Type |") || types && strings.HasPrefix(line, "|")
		if name, ok := strings.CutPrefix(line, "### "); ok {
			said = append(said, strings.TrimSpace(name))
			continue
		}
		if types {
			for name := range strings.SplitSeq(strings.Split(line, "|")[1], ",") {
				said = append(said, strings.Trim(name, " `"))
			}
		}
	}
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	untaken := 0
	for _, name := range wire.Types() {
		free := plan.Input(name) == nil
		if free {
			untaken++
		}
		if slices.Contains(said, name) != free {
			t.Errorf("topics.md calls %s one that no stage takes = %v; want %v", name, !free, free)
		}
	}
	if untaken == 0 {
		t.Error("every type is taken: the section can go")
	}
}
