package docs_test

import (
	"os"
	"strings"
	"testing"

	"anabranch.dev/internal/config"
	"anabranch.dev/topology/retail"
)

// Every configuration in the documents is one that a node starts with.
func TestConfigurationExamples(t *testing.T) {
	for _, b := range indentedBlocks(t, "operating.md", "yaml configuration") {
		_, err := config.Parse("operating.md", []byte(b), config.Options{Topics: retail.DefaultTopics(),
			Environment: func(string) (string, bool) { return "", false }})
		if err != nil {
			t.Errorf("%v\n%s", err, b)
		}
	}
}

// indentedBlocks are the fenced blocks with an info string, also those in lists.
func indentedBlocks(t *testing.T, file, info string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, rest := range strings.Split(string(text), "```"+info+"\n")[1:] {
		block, _, _ := strings.Cut(rest, "```")
		found = append(found, block)
	}
	if len(found) == 0 {
		t.Fatalf("%s has no block marked %q", file, info)
	}
	return found
}

// Every key is in the table: itself, or what it is a part of.
func TestConfigurationKeysAreListed(t *testing.T) {
	text, err := os.ReadFile("operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.Keys() {
		section, name, _ := strings.Cut(key, ".")
		part, last, deep := strings.Cut(name, ".")
		whole := strings.Contains(string(text), "| `"+key+"` |")
		within := deep && strings.Contains(string(text), "| `"+section+"."+part+"` |") && strings.Contains(string(text), "`"+last+"`")
		if !whole && !within {
			t.Errorf("operating.md does not list %s", key)
		}
	}
}
