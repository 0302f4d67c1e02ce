// Package request remembers commands by their idempotency keys, so that a key
// that is used for two different commands is noticed by whatever node gets the
// second.
//
// It answers each request with the content that its key stands for: that of the
// first request. What the command itself was answered is kept with its event.
// A key is forgotten [Kept] after it came last, or when nothing came of its
// command.
//
// Start at [Operator].
package request

import (
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

//go:generate go run anabranch.dev/internal/visitgen .

// Kept is for how long a key stands for its content.
const Kept = state.Day

// Operator remembers one idempotency key.
type Operator struct {
	Made operators.In[event.RequestMade]

	contents operators.Table[Content] // one row
}

// Content is what a key stands for.
type Content struct {
	Digest string `v:"digest"`
}

// Declare implements [operators.Operator].
func (o *Operator) Declare(d *operators.Declaration) {
	o.contents = operators.Keeps[Content](d, "contents", operators.MaxRows(1), operators.Lifetime(Kept))
	o.Made = operators.On(d, "request.made", o.made)
}

// made gives the content that the key stands for.
func (o *Operator) made(c operators.Context, e *event.RequestMade) error {
	row, known := o.contents.Get(c, "")
	switch {
	case e.Withdrawn:
		if row.Digest == e.Content {
			o.contents.Delete(c, "")
		}
		return nil
	case !known:
		row.Digest = e.Content
	}
	o.contents.Set(c, "", row)
	if request := c.Request(); request != "" {
		c.Answer(request, row.Digest)
	}
	return nil
}
