// Package policy numbers and publishes the rules that shape decisions.
//
// A proposed policy is checked whole; every fault is named at once and nothing
// of a faulty one is kept. What passes gets the next version, counted from 1,
// and is broadcast to every group, so that later decisions name it. The built-in
// default is version 0 and needs no publication. The versions replaced last stay
// broadcast, for what has begun under them and is to end under them.
//
// A policy may be published as the shadow of the one in force. It decides
// nothing: whoever decides also works out what it would have chosen and tells
// this stage, which counts the differences and keeps the last of them. The next
// policy in force ends it.
//
// Start at [Operator]; the rules of a good policy are in check.go and
// conditions.go, the default is [Default], compiled rules are [Rules], the shadow
// is in shadow.go, the versions that stay in replaced.go.
package policy

import (
	"fmt"
	"slices"
	"strings"

	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

//go:generate go run anabranch.dev/internal/visitgen .

// CodeInvalid is the code of a refused policy.
const CodeInvalid = "policy_invalid"

// KeptVersions is how many published versions the history keeps, besides the one
// in force if it is older.
const KeptVersions = 100

// Operator checks, numbers and broadcasts policies. Its key is a policy's name.
type Operator struct {
	Published operators.In[event.PolicyPublished]
	Compared  operators.In[event.ShadowCompared]
	Policies  operators.Publication[event.Policy] // rows: name, name/shadow, name/version

	history     operators.Table[event.Policy] // row: version, 12 digits
	newest      operators.Table[Newest]
	shadows     operators.Table[Shadow]
	differences operators.Table[Difference] // row: number, modulo what is kept
}

// Newest is the last number given and the version in force.
type Newest struct {
	Version  int64      `v:"version"`
	InForce  int64      `v:"in_force"`
	Replaced []Replaced `v:"replaced"` // those still broadcast, oldest first
}

const rowNewest = "newest"

// Declare implements operators.Operator.
func (o *Operator) Declare(d *operators.Declaration) {
	o.history = operators.Keeps[event.Policy](d, "history", operators.MaxRows(KeptVersions+1))
	o.newest = operators.Keeps[Newest](d, "newest", operators.MaxRows(1))
	o.shadows = operators.Keeps[Shadow](d, "shadows", operators.MaxRows(1))
	o.differences = operators.Keeps[Difference](d, "differences", operators.MaxRows(KeptDifferences))
	o.Policies = operators.Publishes[event.Policy](d, "policies")
	o.Published = operators.On(d, "policy.published", o.publish)
	o.Compared = operators.On(d, "shadow.compared", o.compared)
	operators.Answers(d, "policy", o.answer)
}

func (o *Operator) publish(c operators.Context, e *event.PolicyPublished) error {
	if faults := Check(e); len(faults) > 0 {
		return operators.Rejectf(CodeInvalid, "%d faults: %s", len(faults), strings.Join(faults, "; "))
	}
	n, _ := o.newest.Get(c, rowNewest)
	n.Version++
	p := event.Policy{
		Name: e.Name, Version: n.Version, Published: c.LogTime(),
		Author: e.Author, Comment: e.Comment, Allocation: e.Allocation, Shadow: e.Shadow,
	}
	if !e.Shadow {
		o.keepReplaced(c, e.Name, &n)
	}
	oldest := n.Version - KeptVersions
	if oldest > 0 && oldest != n.InForce {
		o.history.Delete(c, versionRow(oldest))
	}
	o.endShadow(c, e.Name)
	if e.Shadow {
		o.shadows.Set(c, rowShadow, Shadow{Version: n.Version})
		o.Policies.Publish(c, shadowRow(e.Name), p)
		if planted.Is("policy: shadow in force") {
			o.Policies.Publish(c, e.Name, p)
		}
	} else {
		if n.InForce > 0 && n.InForce <= oldest {
			o.history.Delete(c, versionRow(n.InForce))
		}
		n.InForce = n.Version
		o.Policies.Publish(c, e.Name, p)
	}
	o.history.Set(c, versionRow(n.Version), p)
	o.newest.Set(c, rowNewest, n)
	return nil
}

func versionRow(version int64) string { return fmt.Sprintf("%012d", version) }

// Question asks for a policy.
type Question struct {
	History bool `v:"history"` // all kept versions too
}

// Answer is the policy in force, its shadow and, if asked for, the kept versions,
// newest first.
type Answer struct {
	Current event.Policy   `v:"current"`
	History []event.Policy `v:"history"`
	Shadow  *ShadowState   `v:"shadow"` // none: nothing is compared
}

func (o *Operator) answer(r operators.Reader, q *Question) (*Answer, error) {
	standard := Default(r.Key())
	if standard == nil {
		return nil, nil
	}
	a := &Answer{Current: *standard, Shadow: o.shadowState(r)}
	if n, ok := o.newest.Get(r, rowNewest); ok && n.InForce > 0 {
		a.Current, _ = o.history.Get(r, versionRow(n.InForce))
	}
	if !q.History {
		return a, nil
	}
	a.History = append(a.History, *standard)
	o.history.Scan(r, "", func(_ string, p *event.Policy) bool {
		a.History = append(a.History, *p)
		return true
	})
	slices.Reverse(a.History)
	return a, nil
}
