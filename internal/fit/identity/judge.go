package identity

import (
	"anabranch.dev/operators/matching"
	"anabranch.dev/state"
)

// Judgement compares what a model finds with the truth, pair by pair after transitive
// closure.
type Judgement struct {
	Found, True, Right int
}

// Precision is the share of the pairs found that are right.
func (j Judgement) Precision() float64 { return share(j.Right, j.Found) }

// Recall is the share of the true pairs that were found.
func (j Judgement) Recall() float64 { return share(j.Right, j.True) }

// F1 is the harmonic mean of precision and recall.
func (j Judgement) F1() float64 {
	if j.Right == 0 {
		return 0
	}
	return 2 * float64(j.Right) / float64(j.Found+j.True)
}

func share(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

// Clusters links the pairs whose odds are at least threshold (log₂, in millionths),
// and names each person's cluster by its first member.
func Clusters(m *matching.Model, persons []Person, pairs []Pair, threshold state.Decimal) []int {
	of := make([]int, len(persons))
	for i := range of {
		of[i] = i
	}
	root := func(i int) int {
		for of[i] != i {
			of[i] = of[of[i]]
			i = of[i]
		}
		return i
	}
	for _, p := range pairs {
		if m.Compare(persons[p.A].Fields, persons[p.B].Fields) >= threshold {
			a, b := root(p.A), root(p.B)
			of[max(a, b)] = min(a, b)
		}
	}
	for i := range of {
		of[i] = root(i)
	}
	return of
}

// Judge compares clusters with the truth: who each person is.
func Judge(found []int, truth []string) Judgement {
	var j Judgement
	foundSize, trueSize := map[int]int{}, map[string]int{}
	type both struct {
		found int
		truth string
	}
	together := map[both]int{}
	for i, f := range found {
		j.Found += foundSize[f]
		foundSize[f]++
		j.True += trueSize[truth[i]]
		trueSize[truth[i]]++
		j.Right += together[both{f, truth[i]}]
		together[both{f, truth[i]}]++
	}
	return j
}
