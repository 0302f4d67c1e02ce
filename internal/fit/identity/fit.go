package identity

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"anabranch.dev/operators/matching"
	"anabranch.dev/state"
)

// ErrTooFew: there are too few descriptions or pairs to learn from.
var ErrTooFew = errors.New("too few descriptions to fit a model")

const (
	randomPairs = 200_000
	maxRounds   = 200
	// smoothing is what is added to each level's count, so that none is impossible.
	smoothing = 0.5
	// settled is when expectation maximisation stops.
	settled = 1e-7
)

// rates are how often two descriptions agree at each level of each field, of those
// that say something.
type rates [][matching.Levels]float64

// Fit finds the model that explains the pairs best. names are the fields'. The same
// descriptions give the same model.
func Fit(names []string, persons []Person, pairs []Pair) (*matching.Model, error) {
	if len(persons) < 10 || len(pairs) < 10 {
		return nil, ErrTooFew
	}
	patterns := count(persons, pairs)
	random := byChance(len(names), persons)
	all := float64(len(persons)) * float64(len(persons)-1) / 2
	same := make(rates, len(names))
	for f := range same {
		same[f] = [matching.Levels]float64{0.8, 0.08, 0.05, 0.02, 0.05}
	}
	share := 0.1
	var chance rates
	for range maxRounds {
		before := share
		chance = random.without(same, share*float64(len(pairs))/all)
		same, share = patterns.maximise(same, chance, share)
		if math.Abs(share-before) < settled {
			break
		}
	}
	odds := share * float64(len(pairs)) / all
	m := &matching.Model{Prior: millionths(math.Log2(odds / (1 - odds)))}
	for f, name := range names {
		field := matching.Field{Name: name}
		for l := range field.Weights {
			field.Weights[l] = millionths(math.Log2(same[f][l] / chance[f][l]))
		}
		frequencies(&field, f, same[f][matching.Equal], persons)
		m.Fields = append(m.Fields, field)
	}
	return m, nil
}

// commonFrom is the share of the persons that a value has at least that is weighed by
// itself.
const commonFrom = 0.01

// frequencies weighs agreement on a common value by how many have it: that of two
// persons named alike by chance is the share of those with that name (Winkler 2000).
// What is left of agreement is for all other values.
func frequencies(field *matching.Field, f int, same float64, persons []Person) {
	n, known := map[uint64]int{}, 0.0
	for i := range persons {
		if v := &persons[i].Fields[f]; v.Known() {
			n[v.Exact]++
			known++
		}
	}
	for exact, times := range n {
		if share := float64(times) / known; share >= commonFrom {
			field.Common = append(field.Common, matching.Common{Exact: exact, Weight: millionths(math.Log2(same / share))})
		}
	}
	slices.SortFunc(field.Common, func(a, b matching.Common) int { return cmp.Compare(a.Exact, b.Exact) })
	field.Weights[matching.Equal] = max(field.Weights[matching.Equal], millionths(math.Log2(same/commonFrom)))
}

func millionths(x float64) state.Decimal {
	limit := float64(matching.MaxWeight)
	return state.Decimal(math.Round(max(-limit, min(limit, x*float64(state.One)))))
}

// pattern is the levels of one pair.
type pattern [matching.MaxFields]matching.Level

// tally counts pairs by pattern, in order of their first pair.
type tally struct {
	fields int
	list   []pattern
	n      []float64
}

func count(persons []Person, pairs []Pair) *tally {
	t := &tally{fields: len(persons[0].Fields)}
	at := map[pattern]int{}
	for _, pair := range pairs {
		p := patternOf(&persons[pair.A], &persons[pair.B])
		i, known := at[p]
		if !known {
			i = len(t.list)
			at[p] = i
			t.list, t.n = append(t.list, p), append(t.n, 0)
		}
		t.n[i]++
	}
	return t
}

func patternOf(a, b *Person) (p pattern) {
	for f := range a.Fields {
		p[f] = matching.Agreement(&a.Fields[f], &b.Fields[f])
	}
	return p
}

// byChance is how often random persons agree.
func byChance(fields int, persons []Person) rates {
	rng := rand.New(rand.NewPCG(1969, uint64(len(persons))))
	sums := make(rates, fields)
	for range randomPairs {
		a, b := rng.IntN(len(persons)), rng.IntN(len(persons))
		if a == b {
			continue
		}
		p := patternOf(&persons[a], &persons[b])
		for f := range sums {
			if p[f] != matching.Unknown {
				sums[f][p[f]]++
			}
		}
	}
	return sums.normal()
}

// least is the rate of what was never seen by chance.
const least = 1e-5

// without takes out of random pairs' rates what the pairs of one person among them
// bring, of which there is a share.
func (r rates) without(same rates, share float64) rates {
	out := make(rates, len(r))
	for f := range r {
		sum := 0.0
		for l := range r[f] {
			out[f][l] = max(least, r[f][l]-share*same[f][l])
			sum += out[f][l]
		}
		for l := range r[f] {
			out[f][l] /= sum
		}
	}
	return out
}

// normal turns counts into rates.
func (r rates) normal() rates {
	for f := range r {
		sum := 0.0
		for l := range r[f] {
			r[f][l] += smoothing
			sum += r[f][l]
		}
		for l := range r[f] {
			r[f][l] /= sum
		}
	}
	return r
}

// maximise weighs each pattern by how likely its pairs are one person's, and counts
// anew with these weights.
func (t *tally) maximise(same, chance rates, share float64) (rates, float64) {
	sums := make(rates, t.fields)
	matched, all := 0.0, 0.0
	for i := range t.list {
		p := &t.list[i]
		one, two := share, 1-share
		for f := range t.fields {
			if l := p[f]; l != matching.Unknown {
				one *= same[f][l]
				two *= chance[f][l]
			}
		}
		weight := t.n[i] * one / (one + two)
		matched += weight
		all += t.n[i]
		for f := range t.fields {
			if l := p[f]; l != matching.Unknown {
				sums[f][l] += weight
			}
		}
	}
	return sums.normal(), matched / all
}
