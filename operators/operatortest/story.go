package operatortest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// Suite says what stories are about and in which words they are told.
type Suite struct {
	Plan *topology.Plan
	// Verbs are further names for events, besides their types.
	Verbs map[string]Verb
	// Print lists, per event type, the fields that are printed, the parts of
	// a struct or list being named with a dot; see [Print].
	// Without an entry all fields that are set are printed; an empty list
	// leaves the event out.
	Print map[string][]string
	// Groups is how many groups the keys are spread over, by default one.
	Groups int
	// Sorted prints what came of one directive in alphabetical order: what
	// happens at several keys has no order between groups.
	Sorted bool
	// Start is the clock at the beginning, by default the first of June 2026,
	// 10:00.
	Start state.Time
}

// Verb is an event type under another name.
type Verb struct {
	Type string
	// Rename maps words of the story to field names.
	Rename map[string]string
	// Defaults are fields that a story may leave out.
	Defaults map[string]string
}

// defaultStart is 2026-06-01T10:00:00Z.
const defaultStart = state.Time(1_780_308_000_000_000)

// Run runs one story file; every file starts with empty state. With -rewrite it
// writes what came out into the file.
func Run(t *testing.T, path string, suite *Suite) {
	t.Helper()
	story, err := NewStory(suite)
	if err != nil {
		t.Fatal(err)
	}
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		text, err := story.Tell(d)
		if err != nil {
			d.Fatalf(t, "%s: %v", d.Cmd, err)
		}
		return text
	})
}

// Story is a rig that is told what to do in words.
type Story struct {
	*Rig
	suite *Suite
}

// NewStory starts a suite's plan on empty state.
func NewStory(suite *Suite) (*Story, error) {
	start := suite.Start
	if start == 0 {
		start = defaultStart
	}
	rig, err := NewRigOf(max(suite.Groups, 1), suite.Plan, start)
	if err != nil {
		return nil, err
	}
	return &Story{Rig: rig, suite: suite}, nil
}

// Tell carries out one directive and returns what came of it.
func (s *Story) Tell(d *datadriven.TestData) (string, error) {
	given := fieldsOf(d.CmdArgs)
	switch d.Cmd {
	case "clock":
		return s.step(d)
	case "show":
		return s.show(given)
	case "query":
		return s.query(given)
	}
	return s.event(d.Cmd, given, d.Input)
}

func (s *Story) step(d *datadriven.TestData) (string, error) {
	if len(d.CmdArgs) != 1 {
		return "", errors.New("want one time")
	}
	to, err := parseTime(d.CmdArgs[0].Key, s.Now())
	if err != nil {
		return "", err
	}
	if to < s.Now() {
		return "", fmt.Errorf("%s is before %s", to, s.Now())
	}
	effects, err := s.Step(to - s.Now())
	if err != nil {
		return "", err
	}
	return s.print(effects), nil
}

func (s *Story) event(word string, given fields, input string) (string, error) {
	verb, ok := s.suite.Verbs[word]
	if !ok {
		verb = Verb{Type: word}
	}
	in := s.suite.Plan.Input(verb.Type)
	if in == nil {
		return "", errors.New("neither a verb nor an event type")
	}
	env, err := s.envelope(given)
	if err != nil {
		return "", err
	}
	items, err := itemsOf(input)
	if err != nil {
		return "", err
	}
	for _, f := range append(items, given) {
		verb.rename(f)
	}
	for name, value := range verb.Defaults {
		if _, set := given[name]; !set {
			given[name] = []string{value}
		}
	}
	e, err := fill(in.Port.New, given, items, s.Now())
	if err != nil {
		return "", err
	}
	effects, err := s.Rig.Tell(verb.Type, e, env)
	if err != nil {
		return "", err
	}
	return s.print(effects), nil
}

func (v Verb) rename(f fields) {
	for word, name := range v.Rename {
		if value, ok := f.take(word); ok {
			f[name] = value
		}
	}
}

func (s *Story) envelope(given fields) (env Envelope, err error) {
	if id, ok := given.take("id"); ok {
		env.ID = strings.Join(id, ",")
	}
	if at, ok := given.take("at"); ok {
		env.Time, err = parseTime(strings.Join(at, ","), s.Now())
	}
	return env, err
}

// print writes effects, one a line.
func (s *Story) print(effects *Effects) string {
	if !s.suite.Sorted {
		return s.lines(effects)
	}
	lines := strings.SplitAfter(s.lines(effects), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func (s *Story) lines(effects *Effects) string {
	var out strings.Builder
	if effects.Duplicate {
		out.WriteString("duplicate\n")
	}
	for _, r := range effects.Records {
		if d := DeadLetterOf(r); d != nil {
			fmt.Fprintf(&out, "dead letter %s at %s\n", d.Code, d.Stage)
			continue
		}
		only, chosen := s.suite.Print[r.Type]
		if chosen && len(only) == 0 {
			continue
		}
		out.WriteString(strings.TrimRight(r.Type+" "+Print(r.Payload.Value, only...), " ") + "\n")
	}
	for _, r := range effects.Replies {
		if r.Outcome == "refused" || r.Outcome == "answer" {
			out.WriteString(strings.TrimRight("reply "+r.Outcome+" "+r.Code, " ") + "\n")
		}
	}
	return out.String()
}

func (s *Story) show(given fields) (string, error) {
	stage, key, table := one(given, "stage"), one(given, "key"), one(given, "table")
	if len(given) > 0 {
		return "", fmt.Errorf("unknown field %s", given.names())
	}
	var out strings.Builder
	err := s.Rows(stage, key, func(t *state.Table, row string, value state.Visitable) {
		if table == "" || t.Name == table {
			// Zero bytes end the parts of a row key.
			shown := strings.ReplaceAll(strings.TrimSuffix(row, "\x00"), "\x00", "/")
			out.WriteString(strings.Join(slices.DeleteFunc([]string{t.Name, shown, Print(value)},
				func(part string) bool { return part == "" }), " ") + "\n")
		}
	})
	return out.String(), err
}

func (s *Story) query(given fields) (string, error) {
	stage, name, key := one(given, "stage"), one(given, "query"), one(given, "key")
	port := s.suite.Plan.Query(stage, name)
	if port == nil {
		return "", fmt.Errorf("stage %s answers no query %q", stage, name)
	}
	q, err := fill(port.NewQuestion, given, nil, s.Now())
	if err != nil {
		return "", err
	}
	answer, err := s.Query(stage, name, key, q)
	if err != nil {
		return "", err
	}
	if answer == nil {
		return "nothing\n", nil
	}
	// One item of a list a line.
	return strings.ReplaceAll(Print(answer), "; ", "\n  ") + "\n", nil
}

func one(given fields, name string) string {
	v, _ := given.take(name)
	return strings.Join(v, ",")
}
