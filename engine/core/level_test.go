package core_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/memstate"
	"anabranch.dev/topology"
)

// note is an event, a row and a record that has one more field since level 2.
type note struct {
	Key, Text string
	Times     int64
	Changed   state.Time // since level 2
}

func (x *note) visit(v state.Visitor, knows uint8) {
	v.String("key", &x.Key)
	v.String("text", &x.Text)
	v.Int("times", &x.Times)
	if knows >= 2 && v.Level() >= 2 {
		v.Time("changed", &x.Changed)
	}
}

// newNote and oldNote are what builds of the two levels know of it.
type (
	newNote struct{ note }
	oldNote struct{ note }
)

func (x *oldNote) Visit(v state.Visitor) { x.visit(v, 1) }
func (x *newNote) Visit(v state.Visitor) { x.visit(v, 2) }
func (x *note) is() *note                { return x }

// aNote is either of them.
type aNote[N any] interface {
	*N
	state.Visitable
	is() *note
}

// notes keeps the last note of a key, and says on two topics what it keeps.
type notes[N any, P aNote[N]] struct {
	kept           operators.Table[N]
	Noted          operators.In[N]
	Out, Conflated operators.Out[N]
}

func (o *notes[N, P]) Declare(d *operators.Declaration) {
	o.kept = operators.Keeps[N, P](d, "kept", operators.MaxRows(1))
	o.Noted = operators.On[N, P](d, "noted", o.noted)
	o.Out = operators.Emits[N, P](d, "out")
	o.Conflated = operators.Emits[N, P](d, "conflated")
}

func (o *notes[N, P]) noted(c operators.Context, e *N) error {
	row, _ := o.kept.Get(c, "")
	n := P(&row).is()
	if P(e).is().Text == "look" {
		return nil
	}
	if P(e).is().Text == "reject" {
		return operators.Rejectf("no_good", "told so")
	}
	n.Key, n.Text = c.Key(), P(e).is().Text
	n.Times++
	if c.Level() >= 2 {
		n.Changed = c.LogTime()
	}
	o.kept.Set(c, "", row)
	o.Out.Emit(c, c.Key(), &row)
	o.Conflated.Emit(c, c.Key(), &row)
	return nil
}

// notesPlan is the topology as one build knows it.
func notesPlan[N any, P aNote[N]](t testing.TB) *topology.Plan {
	t.Helper()
	b := topology.New("notes")
	n := topology.Add(b, "notes", &notes[N, P]{})
	topology.Command(b, n.Noted, func(e *N) string { return P(e).is().Key })
	topology.Sink(b, n.Out, "out")
	topology.Sink(b, n.Conflated, "conflated", topology.Conflated())
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// mixed is a group with a replica of either build, over one log.
type mixed struct {
	t      testing.TB
	plans  []*topology.Plan
	stores []*memstate.Store
	cores  []*core.Core
	index  uint64
	now    state.Time
}

const (
	older = 0 // replica whose build knows level 1
	newer = 1 // and level 2
)

func newMixed(t testing.TB) *mixed {
	m := &mixed{t: t, now: 1000 * state.Day, plans: []*topology.Plan{notesPlan[oldNote](t), notesPlan[newNote](t)}}
	for _, p := range m.plans {
		m.stores = append(m.stores, memstate.New(core.Tables(p), codec.New()))
		m.cores = append(m.cores, nil)
	}
	m.open(older)
	m.open(newer)
	return m
}

// open starts a replica of a build from its state as another would find it.
func (m *mixed) open(build int) {
	m.t.Helper()
	if err := m.tryOpen(build, build); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mixed) tryOpen(build, from int) error {
	m.t.Helper()
	s, err := m.stores[from].Reopen(core.Tables(m.plans[build]))
	if err != nil {
		return err
	}
	c, err := core.New(core.Config{Plan: m.plans[build], Codec: codec.New(), Shards: shards, Groups: 1, Incarnation: 1, Knows: uint64(build + 1),
		Clock: core.ClockWall, GroupOf: func(state.Shard) int { return 0 }}, s)
	if err == nil {
		m.stores[build], m.cores[build] = s, c
	}
	return err
}

// entry applies an entry on some replicas, each through the bytes in the log, and
// returns what went wrong on the last.
func (m *mixed) entry(level uint64, builds []int, items ...core.Item) (out *core.Output, fault error) {
	m.t.Helper()
	m.index++
	m.now += state.Second
	raw, err := codec.New().Append(nil, uint8(level), &core.Entry{Level: level, Time: m.now, Items: items})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, b := range builds {
		out, fault = m.apply(b, raw)
	}
	return out, fault
}

func (m *mixed) apply(build int, raw []byte) (out *core.Output, fault error) {
	defer func() {
		if f, ok := recover().(*state.Fault); ok {
			fault = f.Err
		}
	}()
	e := new(core.Entry)
	if err := codec.New().Decode(raw, e); err != nil {
		m.t.Fatal(err)
	}
	return m.cores[build].Apply(m.index, e), nil
}

func (m *mixed) say(level uint64, key, text string) core.Item {
	n := &newNote{note{Key: key, Text: text, Changed: 7}} // as the newer build may have read it
	return core.Item{Command: &core.Command{Event: operators.Event{Source: "test", ID: fmt.Sprint(m.index), Type: "noted", Time: m.now,
		Payload: state.Nested{Value: n}}}}
}

func raiseTo(level uint64) core.Item {
	return core.Item{Control: &core.Control{ID: "raise", Kind: core.ControlRaise, Level: level}}
}

// equal compares the replicas' digests.
func (m *mixed) equal() error {
	var sums []string
	for _, s := range m.stores {
		s.Digests(func(index uint64, all []state.ShardDigest) { sums = append(sums, fmt.Sprint(index, all)) })
	}
	if sums[older] != sums[newer] {
		return fmt.Errorf("digests of level 1 and 2 differ at %d: %s, %s", m.index, sums[older], sums[newer])
	}
	return nil
}

// level is that of the bytes of a key's row.
func (m *mixed) level(build int, key string) (level uint8) {
	m.t.Helper()
	cell := state.CellID{Shard: state.ShardOf(key, shards), Stage: state.StageID(state.IDOf("notes")), Key: key}
	err := m.stores[build].View().Stored(cell.Shard, func(r state.StoredRow) bool {
		if r.Cell == cell && r.Table == m.plans[build].Stages[0].Decl.Tables[0].ID {
			var err error
			if level, err = codec.Level(r.Value); err != nil {
				m.t.Error(err)
			}
		}
		return true
	})
	if err != nil || level == 0 {
		m.t.Fatalf("no row of %s: %v", key, err)
	}
	return level
}

var both = []int{older, newer}

// atLevelOne lets both builds live together at level 1: every kind of row, what is
// refused, restarts, and snapshots taken by either and installed by the other.
func (m *mixed) atLevelOne() error {
	for i := range 40 {
		item := m.say(1, fmt.Sprint("k", i%5), []string{"one", "two", "reject", "look"}[i%4])
		if _, err := m.entry(1, both, item); err != nil {
			return err
		}
		if err := m.equal(); err != nil {
			return err
		}
		if i%10 == 9 {
			for build := range both {
				if err := m.tryOpen(build, 1-build); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func TestMixedLevels(t *testing.T) {
	m := newMixed(t)
	if err := m.atLevelOne(); err != nil {
		t.Fatal(err)
	}
	if n := m.cores[newer].DeadLettered(); n != 10 {
		t.Errorf("%d dead letters; want 10", n)
	}
}

// The replica that does not know a level stops before the entry that raises the
// group to it, and goes on with a build that does.
func TestRaise(t *testing.T) {
	m := newMixed(t)
	for _, key := range []string{"kept", "changed"} {
		if _, err := m.entry(1, both, m.say(1, key, "one")); err != nil {
			t.Fatal(err)
		}
	}
	out, err := m.entry(1, []int{newer}, m.say(1, "kept", "look"), raiseTo(2), m.say(1, "same", "one"))
	if err != nil || out.Level != 2 || len(out.Replies) != 3 || out.Replies[1].Outcome != core.OutcomeApplied {
		t.Fatalf("raise = %+v, %v", out, err)
	}
	if level := m.level(newer, "same"); level != 1 {
		t.Errorf("row of the entry that raises has level %d; want 1", level)
	}
	// The older one, at the same entry: after, it can't even be opened.
	m.index--
	before := digests(m.stores[older])
	for range 2 {
		_, err = m.entry(1, []int{older}, m.say(1, "kept", "two"), raiseTo(2))
		if !errors.Is(err, core.ErrLevelUnknown) || !strings.Contains(fmt.Sprint(err), "this build knows feature level 1, the group is at 2: upgrade this node") {
			t.Fatalf("raise where it is unknown: %v", err)
		}
		if after := digests(m.stores[older]); after != before || m.stores[older].Applied() != m.index-1 {
			t.Fatalf("state changed from %s to %s", before, after)
		}
		m.index--
	}
	m.index++
	if err := m.tryOpen(older, newer); !errors.Is(err, core.ErrLevelUnknown) {
		t.Errorf("level 1 opens a state of level 2: %v", err)
	}
	if err := m.tryOpen(newer, newer); err != nil || m.cores[newer].Level() != 2 {
		t.Errorf("level 2 after a restart: %d, %v", m.cores[newer].Level(), err)
	}
	// Rows of the older format are read, kept, and rewritten when they change.
	for _, item := range []core.Item{m.say(2, "kept", "look"), m.say(2, "changed", "two")} {
		if _, err := m.entry(2, []int{newer}, item); err != nil {
			t.Fatal(err)
		}
	}
	if kept, changed := m.level(newer, "kept"), m.level(newer, "changed"); kept != 1 || changed != 2 {
		t.Errorf("levels of the row that is kept and of the one that changes = %d, %d; want 1, 2", kept, changed)
	}
	row := m.stores[newer].Cell(state.CellID{Shard: state.ShardOf("changed", shards), Stage: state.StageID(state.IDOf("notes")), Key: "changed"}).
		Get(m.plans[newer].Stages[0].Decl.Tables[0], "").(*newNote)
	if row.Times != 2 || row.Changed != m.now {
		t.Errorf("row = %+v; want it twice written, the last time now", row)
	}
}

func digests(s *memstate.Store) (list string) {
	s.Digests(func(index uint64, all []state.ShardDigest) { list = fmt.Sprint(index, all) })
	return list
}

// A level is never lowered, and an entry of a level that is not in force halts.
func TestLevelInForce(t *testing.T) {
	m := newMixed(t)
	only := []int{newer}
	out, err := m.entry(2, only, m.say(2, "k", "one"))
	if err != nil || out.Halt == nil || out.Halt.Code != "level_not_in_force" {
		t.Fatalf("entry of level 2 under 1 = %+v, %v; want a halt", out, err)
	}
	out, _ = m.entry(1, only, core.Item{Control: &core.Control{Kind: core.ControlSkip, Index: out.Halt.Index, Message: out.Halt.Message}})
	if out.Halt != nil {
		t.Fatalf("halted after the skip: %+v", out.Halt)
	}
	for _, c := range []struct {
		to, want uint64
		outcome  string
	}{{1, 1, core.OutcomeApplied}, {2, 2, core.OutcomeApplied}, {2, 2, core.OutcomeApplied}, {1, 2, core.OutcomeRefused}, {300, 2, core.OutcomeRefused}} {
		out, err := m.entry(1, only, raiseTo(c.to))
		if err != nil || out.Level != c.want || len(out.Replies) != 1 || out.Replies[0].Outcome != c.outcome {
			t.Errorf("raise to %d = %+v, %v; want level %d, %s", c.to, out, err, c.want, c.outcome)
		}
	}
	// What was proposed before the raise is written as it was meant.
	if _, err := m.entry(1, only, m.say(1, "late", "one")); err != nil || m.level(newer, "late") != 1 {
		t.Errorf("row of an entry of level 1 has level %d, %v; want 1", m.level(newer, "late"), err)
	}
}

// An entry that raises the level and then breaks an invariant does neither, until
// what breaks it is skipped.
func TestRaiseIsUndoneWithItsEntry(t *testing.T) {
	m := newMixed(t)
	only := []int{newer}
	bad := core.Item{Ack: &core.Ack{Shard: 3, Through: 99}}
	out, err := m.entry(1, only, raiseTo(2), bad)
	if err != nil || out.Halt == nil || out.Level != 1 || m.cores[newer].Level() != 1 {
		t.Fatalf("entry that halts = %+v, %v; want level 1", out, err)
	}
	out, err = m.entry(1, only, core.Item{Control: &core.Control{Kind: core.ControlSkip, Index: out.Halt.Index, Message: out.Halt.Message}})
	if err != nil || out.Halt != nil || out.Level != 2 {
		t.Errorf("after the skip = %+v, %v; want level 2", out, err)
	}
}

// A new incarnation begins at the level of the one before, with the same bytes
// whether its core has just been opened or not.
func TestIncarnationKeepsLevel(t *testing.T) {
	var lists []string
	for _, restart := range []bool{false, true} {
		m := newMixed(t)
		only := []int{newer}
		for level, item := range []core.Item{m.say(1, "k", "one"), raiseTo(2), m.say(1, "k", "two")} {
			if _, err := m.entry(1, only, item); err != nil { // the last one from before the raise
				t.Fatal(level, err)
			}
		}
		if restart {
			m.open(newer)
		}
		m.cores[newer].BeginIncarnation(m.index+1, core.LanesRestart)
		m.open(newer)
		if level := m.cores[newer].Level(); level != 2 {
			t.Errorf("level of the new incarnation = %d; want 2", level)
		}
		lists = append(lists, digests(m.stores[newer]))
	}
	if lists[0] != lists[1] {
		t.Errorf("digests after a restart %s; want %s", lists[1], lists[0])
	}
}
