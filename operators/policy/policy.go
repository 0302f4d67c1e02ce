// Package policy numbers and publishes the rules that shape decisions.
//
// A proposed policy is checked whole; every fault is named at once and nothing
// of a faulty one is kept. What passes gets the next version, counted from 1,
// and is broadcast to every group, so that later decisions name it. The built-in
// default is version 0 and needs no publication.
//
// Start at [Operator]; the rules of a good policy are in check.go, the default
// is [Default].
package policy

import (
	"fmt"
	"strings"

	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
)

//go:generate go run anabranch.dev/internal/visitgen .

// CodeInvalid is the code of a refused policy.
const CodeInvalid = "policy_invalid"

// KeptVersions is how many published versions the history keeps.
const KeptVersions = 100

// Operator checks, numbers and broadcasts policies. Its key is a policy's name.
type Operator struct {
	Published operators.In[event.PolicyPublished]
	Policies  operators.Publication[event.Policy] // row: name

	history operators.Table[event.Policy] // row: version, 12 digits
	newest  operators.Table[Newest]
}

// Newest is the number of the version in force.
type Newest struct {
	Version int64 `v:"version"`
}

const rowNewest = "newest"

// Declare implements operators.Operator.
func (o *Operator) Declare(d *operators.Declaration) {
	o.history = operators.Keeps[event.Policy](d, "history", operators.MaxRows(KeptVersions))
	o.newest = operators.Keeps[Newest](d, "newest", operators.MaxRows(1))
	o.Policies = operators.Publishes[event.Policy](d, "policies")
	o.Published = operators.On(d, "policy.published", o.publish)
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
		Author: e.Author, Comment: e.Comment, Allocation: e.Allocation,
	}
	if old := n.Version - KeptVersions; old > 0 {
		o.history.Delete(c, versionRow(old))
	}
	o.history.Set(c, versionRow(n.Version), p)
	o.newest.Set(c, rowNewest, n)
	o.Policies.Publish(c, e.Name, p)
	return nil
}

func versionRow(version int64) string { return fmt.Sprintf("%012d", version) }

// Question asks for a policy.
type Question struct {
	History bool `v:"history"` // all kept versions too
}

// Answer is the policy in force and, if asked for, the kept versions, newest
// first.
type Answer struct {
	Current event.Policy   `v:"current"`
	History []event.Policy `v:"history"`
}

func (o *Operator) answer(r operators.Reader, q *Question) (*Answer, error) {
	standard := Default(r.Key())
	if standard == nil {
		return nil, nil
	}
	a := &Answer{Current: *standard}
	if n, ok := o.newest.Get(r, rowNewest); ok {
		a.Current, _ = o.history.Get(r, versionRow(n.Version))
	}
	if !q.History {
		return a, nil
	}
	o.history.Scan(r, "", func(_ string, p *event.Policy) bool {
		a.History = append(a.History, *p)
		return true
	})
	a.History = append([]event.Policy{*standard}, a.History...)
	for i, j := 0, len(a.History)-1; i < j; i, j = i+1, j-1 {
		a.History[i], a.History[j] = a.History[j], a.History[i]
	}
	return a, nil
}
