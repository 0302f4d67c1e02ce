package identity_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anabranch.dev/internal/fit/identity"
	"anabranch.dev/operators/matching/keyed"
)

// table is a data set with the truth about it.
type table struct {
	names   []string
	persons []identity.Person
	truth   []string
}

// read reads a data set of the tests' data folder: fields by name, hashed, and who
// each row is by the function. A missing folder skips the test, but not in CI.
func read(t *testing.T, file string, names []string, who func(row map[string]string) string) *table {
	t.Helper()
	dir := os.Getenv("ANABRANCH_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, file))
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("ANABRANCH_DATA: %v", err)
		}
		t.Skipf("ANABRANCH_DATA=%s has no %s", dir, file)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.TrimLeadingSpace = true
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	h := keyed.NewHasher([]byte("a key of tests, long enough to be one"))
	set := &table{names: names}
	for _, cells := range rows[1:] {
		row := map[string]string{}
		for i, name := range rows[0] {
			row[strings.TrimSpace(name)] = strings.TrimSpace(cells[i])
		}
		p := identity.Person{Name: cells[0]}
		for _, name := range names {
			p.Fields = append(p.Fields, h.Value(name, row[name]))
		}
		set.persons = append(set.persons, p)
		set.truth = append(set.truth, who(row))
	}
	return set
}
