package identity_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"anabranch.dev/internal/fit/identity"
)

var febrl = []string{"given_name", "surname", "street_number", "address_1", "address_2", "suburb", "postcode", "state", "date_of_birth", "soc_sec_id"}

var febrlBlocks = []identity.Block{
	{{Field: 9}}, {{Field: 8}}, {{Field: 0, Sound: true}, {Field: 1, Sound: true}}, {{Field: 3}}, {{Field: 6}, {Field: 0, Sound: true}}, {{Field: 6}, {Field: 1, Sound: true}}, {{Field: 5}, {Field: 2}},
}

func febrlPerson(row map[string]string) string { return strings.Split(row["rec_id"], "-")[1] }

var splink = []string{"first_name", "surname", "dob", "city", "email"}

var splinkBlocks = []identity.Block{
	{{Field: 4}}, {{Field: 2}}, {{Field: 0}, {Field: 1}}, {{Field: 0, Sound: true}, {Field: 1, Sound: true}}, {{Field: 0}, {Field: 3}}, {{Field: 1}, {Field: 3}}, {{Field: 1}}, {{Field: 0}},
}

// certain is log₂ of the odds of a probability of 0.99, in millionths.
const certain = 6_629_357

// TestBars fits models to data sets of which the truth is known, without the truth,
// and judges what they are certain of.
func TestBars(t *testing.T) {
	for _, c := range []struct {
		file   string
		names  []string
		blocks []identity.Block
		who    func(map[string]string) string
		f1     float64
	}{
		{"febrl/dataset1.csv", febrl, febrlBlocks, febrlPerson, 0.99},
		{"febrl/dataset2.csv", febrl, febrlBlocks, febrlPerson, 0.99},
		{"splink/fake_1000.csv", splink, splinkBlocks, func(r map[string]string) string { return r["cluster"] }, 0.90},
	} {
		set := read(t, c.file, c.names, c.who)
		pairs := identity.Pairs(set.persons, c.blocks)
		m, err := identity.Fit(set.names, set.persons, pairs)
		if err != nil {
			t.Fatal(err)
		}
		if faults := m.Check(); len(faults) > 0 {
			t.Errorf("%s: %v", c.file, faults)
		}
		j := identity.Judge(identity.Clusters(m, set.persons, pairs, certain), set.truth)
		t.Logf("%s: %d rows, %d pairs compared, F1 %.4f, precision %.4f, recall %.4f", c.file, len(set.persons), len(pairs), j.F1(), j.Precision(), j.Recall())
		if j.F1() < c.f1 {
			t.Errorf("%s: F1 = %.4f; want %.2f", c.file, j.F1(), c.f1)
		}
		again, err := identity.Fit(set.names, set.persons, pairs)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(m, again) {
			t.Errorf("%s: fitted twice it gives two models", c.file)
		}
	}
}

func TestTooFew(t *testing.T) {
	if _, err := identity.Fit([]string{"a"}, make([]identity.Person, 9), make([]identity.Pair, 100)); !errors.Is(err, identity.ErrTooFew) {
		t.Errorf("Fit of 9 persons = %v; want %v", err, identity.ErrTooFew)
	}
}

func TestJudge(t *testing.T) {
	j := identity.Judge([]int{0, 0, 2, 2, 4}, []string{"a", "a", "a", "b", "c"})
	if j != (identity.Judgement{Found: 2, True: 3, Right: 1}) || j.Precision() != 0.5 || j.F1() != 0.4 {
		t.Errorf("Judge = %+v, precision %f, F1 %f", j, j.Precision(), j.F1())
	}
	if p := (identity.Judgement{}).Precision(); p != 1 {
		t.Errorf("precision of nothing found = %f; want 1", p)
	}
}
