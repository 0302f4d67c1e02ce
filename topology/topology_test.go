package topology

import (
	"errors"
	"strings"
	"testing"

	"anabranch.dev/operators"
	"anabranch.dev/state"
)

type fact struct{ Key string }

func (f *fact) Visit(v state.Visitor) { v.String("key", &f.Key) }

// relay takes facts and passes them on.
type relay struct {
	In    operators.In[fact]
	Out   operators.Out[fact]
	Reply operators.Out[fact]
	Rates operators.Broadcast[fact]
	Own   operators.Publication[fact]
	event bool // with an event timer
	loose bool // with a table that may grow for ever
	asks  bool // the input is a request, answered on Reply
}

func (r *relay) Declare(d *operators.Declaration) {
	handle := func(operators.Context, *fact) error { return nil }
	r.Out = operators.Emits[fact](d, "passed")
	if r.asks {
		r.Reply = operators.Emits[fact](d, "replied")
		r.In = operators.OnRequest(d, "told", handle, r.Reply, func(f *fact, _ string) (string, *fact) { return f.Key, f })
	} else {
		r.In = operators.On(d, "told", handle)
	}
	if r.event {
		operators.OnTimer(d, "settle", operators.EventClock, func(operators.Context, string) error { return nil })
	}
	if r.loose {
		operators.Keeps[fact](d, "loose")
	}
	operators.Keeps[fact](d, "bound", operators.MaxRows(1))
}

func key(f *fact) string { return f.Key }

func TestBuildReportsEveryFault(t *testing.T) {
	b := New("broken")
	a := Add(b, "a", &relay{event: true, loose: true})
	c := Add(b, "b", &relay{})
	Add(b, "c", &relay{})
	Add(b, "a", &relay{})
	Source(b, "in", a.In, key)
	Source(b, "in", a.In, key)
	Connect(b, a.Out, c.In)
	Connect(b, a.Out, c.In)
	Connect(b, c.Out, a.In)
	Sink(b, a.Out, "in")
	Connect(b, operators.Out[fact]{}, a.In)
	_, err := b.Build()
	var invalid *Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("Build() = %v; want an *Invalid", err)
	}
	for _, want := range []string{
		`stage "a": added twice`,
		`event type "told": has two sources`,
		`topic "in": is both an input and an output`,
		"port a>passed: connected twice to b<told",
		"port c<told: nothing feeds it",
		"port c>passed: leads nowhere",
		"table a/loose: has neither a bound nor a lifetime",
		"timer a@settle: event timers on a cycle never fire",
		"connection with an undeclared port",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Build() does not report %q:\n%v", want, err)
		}
	}
}

func TestClocks(t *testing.T) {
	b := New("chain")
	a := Add(b, "a", &relay{})
	c := Add(b, "b", &relay{asks: true})
	d := Add(b, "c", &relay{event: true})
	Source(b, "in", a.In, key)
	Connect(b, a.Out, c.In)
	Connect(b, c.Out, d.In)
	Connect(b, c.Reply, a.In) // an answer: neither a path nor a cycle
	Sink(b, d.Out, "out")
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	for stage, depth := range map[string]int{"a": 1, "b": 2, "c": 3} {
		s := p.Stage(stage)
		if s.Depth != depth || len(s.Topics) != 1 || s.Topics[0] != "in" {
			t.Errorf("stage %s: depth %d, topics %v; want %d, [in]", stage, s.Depth, s.Topics, depth)
		}
	}
	if got := len(p.Topics); got != 3 || p.Topics[0].Alias != DeadLetterTopic {
		t.Errorf("topics = %+v; want dead-letters, in, out", p.Topics)
	}
	if p.In(d.In.ID) != d.In.InPort || p.Input("told").Port != a.In.InPort || len(p.Targets(a.Out.OutPort)) != 1 {
		t.Errorf("look-ups do not find what was declared")
	}
	for _, want := range []string{"t_in -- told --> s_a", "s_a -- passed --> s_b", "s_c -- passed --> t_out"} {
		if !strings.Contains(p.Mermaid(), want) {
			t.Errorf("Mermaid() lacks %q:\n%s", want, p.Mermaid())
		}
	}
}
