package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedFolder = regexp.MustCompile("`([a-z][a-z0-9_/]*)`")
	namedTest   = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	testIs      = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
)

// Each promise names tests, and those tests are there, in the folders named.
func TestPromisesNameTheirTests(t *testing.T) {
	b, err := os.ReadFile("guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	promises := 0
	for _, line := range strings.Split(string(b), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 || strings.Contains(line, "shown by") {
			continue
		}
		promises++
		there := map[string]bool{}
		for _, f := range namedFolder.FindAllStringSubmatch(cells[2], -1) {
			if !addTests(t, there, f[1]) {
				t.Errorf("%q names %s, which has no tests", cells[0], f[1])
			}
		}
		names := namedTest.FindAllString(cells[2], -1)
		if len(names) == 0 {
			t.Errorf("%q names no test", cells[0])
		}
		for _, name := range names {
			if !there[name] {
				t.Errorf("%q names %s, which is in none of the folders it names", cells[0], name)
			}
		}
	}
	if promises < 20 {
		t.Errorf("guarantees.md has %d promises; want 20 or more: is the table read right?", promises)
	}
}

// addTests adds the tests of a folder of the repository.
func addTests(t *testing.T, to map[string]bool, folder string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testIs.FindAllStringSubmatch(string(b), -1) {
			to[m[1]] = true
		}
	}
	return len(files) > 0
}
