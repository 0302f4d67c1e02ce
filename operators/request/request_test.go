package request_test

import (
	"testing"

	"anabranch.dev/operators/event"
	"anabranch.dev/operators/operatortest"
	"anabranch.dev/operators/request"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

func TestKeyStandsForItsFirstContent(t *testing.T) {
	b := topology.New("requests")
	o := topology.Add(b, "request", &request.Operator{})
	topology.Command(b, o.Made, func(e *event.RequestMade) string { return e.Key })
	plan, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	rig, err := operatortest.NewRig(plan, 20_000*state.Day)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		made event.RequestMade
		then state.Time // before it
		want string     // the answer
	}{
		{made: event.RequestMade{Key: "k", Content: "a"}, want: "a"},
		{made: event.RequestMade{Key: "k", Content: "b"}, want: "a"},
		{made: event.RequestMade{Key: "other", Content: "b"}, want: "b"},
		{made: event.RequestMade{Key: "k", Content: "b", Withdrawn: true}},
		{made: event.RequestMade{Key: "k", Content: "c"}, want: "a"},
		{made: event.RequestMade{Key: "k", Content: "a", Withdrawn: true}},
		{made: event.RequestMade{Key: "k", Content: "c"}, want: "c"},
		{then: request.Kept - state.Second, made: event.RequestMade{Key: "k", Content: "d"}, want: "c"},
		{then: request.Kept - state.Second, made: event.RequestMade{Key: "k", Content: "d"}, want: "c"},
		{then: 2 * request.Kept, made: event.RequestMade{Key: "k", Content: "d"}, want: "d"},
	} {
		if _, err := rig.Step(step.then); err != nil {
			t.Fatal(err)
		}
		effects, err := rig.Tell("request.made", &step.made, operatortest.Envelope{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, r := range effects.Replies {
			if r.Answer != "" {
				got = r.Answer
			}
		}
		if got != step.want {
			t.Errorf("%d: %+v answers %q; want %q", i, step.made, got, step.want)
		}
	}
}
