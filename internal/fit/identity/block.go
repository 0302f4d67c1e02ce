package identity

import (
	"cmp"
	"slices"

	"anabranch.dev/operators/matching"
)

// Person is a description of a person.
type Person struct {
	Name   string // of the row
	Fields []matching.Value
}

// Part says which hash of a field is part of a blocking key.
type Part struct {
	Field int
	Sound bool // how it sounds, not how it is spelled
}

// Block is a blocking key: persons are compared if they agree on all of its parts.
type Block []Part

// Pair is two persons by position, the lower one first.
type Pair struct{ A, B int }

// maxInBlock is how many persons a key may have in common to say anything.
const maxInBlock = 400

// Pairs lists the pairs that agree on a key, each once, in order.
func Pairs(persons []Person, blocks []Block) []Pair {
	var pairs []Pair
	for _, block := range blocks {
		same := map[string][]int{}
		for i := range persons {
			if key, ok := block.key(&persons[i]); ok {
				same[key] = append(same[key], i)
			}
		}
		for _, list := range same {
			if len(list) > maxInBlock {
				continue
			}
			for i, a := range list {
				for _, b := range list[i+1:] {
					pairs = append(pairs, Pair{a, b})
				}
			}
		}
	}
	slices.SortFunc(pairs, func(x, y Pair) int { return cmp.Or(cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B)) })
	return slices.Compact(pairs)
}

func (b Block) key(p *Person) (string, bool) {
	key := make([]byte, 0, 8*len(b))
	for _, part := range b {
		v := &p.Fields[part.Field]
		n := v.Exact
		if part.Sound {
			n = v.Sound
		}
		if n == 0 {
			return "", false
		}
		for s := 0; s < 64; s += 8 {
			key = append(key, byte(n>>s))
		}
	}
	return string(key), true
}
