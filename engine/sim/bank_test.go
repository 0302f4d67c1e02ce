package sim_test

import (
	"fmt"

	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// The bank is a topology that uses everything the engine has, and has sums that
// must come out: money moves from account to account, in other shards and
// groups; a move is settled when the other account has said so, and reminded of
// until then; limits are broadcast.

type move struct {
	To     string
	Amount int64
	From   string
}

func (m *move) Visit(v state.Visitor) {
	v.String("to", &m.To)
	v.Int("amount", &m.Amount)
	v.String("from", &m.From)
}

type limit struct {
	Name string
	Most int64
}

func (l *limit) Visit(v state.Visitor) {
	v.String("name", &l.Name)
	v.Int("most", &l.Most)
}

type credit struct {
	From, Move string
	Amount     int64
}

func (c *credit) Visit(v state.Visitor) {
	v.String("from", &c.From)
	v.String("move", &c.Move)
	v.Int("amount", &c.Amount)
}

type receipt struct {
	Move    string
	Refused string
}

func (r *receipt) Visit(v state.Visitor) {
	v.String("move", &r.Move)
	v.String("refused", &r.Refused)
}

type balance struct {
	Account string
	Amount  int64
	History int64 // differs if anything came in another order
}

func (b *balance) Visit(v state.Visitor) {
	v.String("account", &b.Account)
	v.Int("amount", &b.Amount)
	v.Int("history", &b.History)
}

type pending struct {
	To      string
	Amount  int64
	Request string
	Reminds int64
}

func (p *pending) Visit(v state.Visitor) {
	v.String("to", &p.To)
	v.Int("amount", &p.Amount)
	v.String("request", &p.Request)
	v.Int("reminds", &p.Reminds)
}

// limits publishes the limits.
type limits struct {
	changed operators.In[limit]
	publish operators.Publication[limit]
}

func (l *limits) Declare(d *operators.Declaration) {
	l.publish = operators.Publishes[limit](d, "limits")
	l.changed = operators.On(d, "limit.set", func(c operators.Context, e *limit) error {
		l.publish.Publish(c, e.Name, *e)
		return nil
	})
}

// accounts keep the balances.
type accounts struct {
	moved    operators.In[move]
	credited operators.In[credit]
	settled  operators.In[receipt]

	credit   operators.Out[credit]
	receipt  operators.Out[receipt]
	done     operators.Out[receipt]
	levels   operators.Out[balance]
	balances operators.Table[balance]
	open     operators.Table[pending]
	notes    operators.Table[receipt]
	limits   operators.Broadcast[limit]
	remind   operators.Timer
	note     operators.Timer // due at once when a reminder fires
}

func (a *accounts) Declare(d *operators.Declaration) {
	a.credit = operators.Emits[credit](d, "credit")
	a.receipt = operators.Emits[receipt](d, "receipt")
	a.done = operators.Emits[receipt](d, "move.settled")
	a.levels = operators.Emits[balance](d, "balance")
	a.balances = operators.Keeps[balance](d, "balance", operators.MaxRows(1))
	a.open = operators.Keeps[pending](d, "pending", operators.MaxRows(10_000))
	a.notes = operators.Keeps[receipt](d, "notes", operators.MaxRows(100_000))
	a.limits = operators.Reads[limit](d, "limits")
	a.remind = operators.OnTimer(d, "remind", operators.LogClock, a.onRemind)
	a.note = operators.OnTimer(d, "note", operators.LogClock, a.onNote)
	a.moved = operators.On(d, "money.moved", a.onMoved)
	a.credited = operators.OnRequest(d, "credit", a.onCredit, a.receipt, func(r *credit, code string) (string, *receipt) {
		return r.From, &receipt{Move: r.Move, Refused: code}
	})
	a.settled = operators.On(d, "receipt", a.onReceipt)
}

func (a *accounts) book(c operators.Context, amount int64) {
	b, _ := a.balances.Get(c, "")
	b.Account = c.Key()
	b.Amount += amount
	b.History = b.History*31 + amount
	a.balances.Set(c, "", b)
	a.levels.Emit(c, "level/"+c.Key(), &b)
}

func (a *accounts) onMoved(c operators.Context, e *move) error {
	l := a.limits.Get(c, "all")
	switch {
	case l == nil:
		return operators.Rejectf("limit_unknown", "no limit")
	case e.Amount > l.Most:
		return operators.Rejectf("above_limit", "%d", e.Amount)
	}
	a.book(c, -e.Amount)
	if e.Amount == 13 {
		panic("thirteen") // and the booking is undone
	}
	id := c.Cause().ID
	a.open.Set(c, id, pending{To: e.To, Amount: e.Amount, Request: c.Request()})
	a.credit.Emit(c, e.To, &credit{From: c.Key(), Move: id, Amount: e.Amount})
	a.remind.Set(c, id, c.LogTime()+50*state.Millisecond)
	a.note.Set(c, id+"/a", c.LogTime())
	a.note.Set(c, id+"/b", c.LogTime())
	return nil
}

func (a *accounts) onCredit(c operators.Context, e *credit) error {
	if e.Amount == 17 {
		return operators.Rejectf("unlucky", "seventeen")
	}
	a.book(c, e.Amount)
	a.receipt.Emit(c, e.From, &receipt{Move: e.Move})
	return nil
}

func (a *accounts) onReceipt(c operators.Context, e *receipt) error {
	p, ok := a.open.Get(c, e.Move)
	if !ok {
		return operators.Rejectf("not_pending", "%s", e.Move)
	}
	a.open.Delete(c, e.Move)
	a.remind.Clear(c, e.Move)
	if e.Refused != "" {
		a.book(c, p.Amount)
	}
	a.done.Emit(c, c.Key(), e)
	c.Answer(p.Request, a.done.Emit(c, c.Key()+"/answers", e))
	return nil
}

func (a *accounts) onRemind(c operators.Context, id string) error {
	p, ok := a.open.Get(c, id)
	if !ok {
		return fmt.Errorf("reminder of %s, which is not pending", id)
	}
	p.Reminds++
	a.open.Set(c, id, p)
	a.remind.Set(c, id, c.LogTime()+50*state.Millisecond)
	a.note.Set(c, fmt.Sprintf("%s/%d", id, p.Reminds), c.LogTime())
	return nil
}

// onNote fires once for each id.
func (a *accounts) onNote(c operators.Context, id string) error {
	if _, again := a.notes.Get(c, id); again {
		return fmt.Errorf("note %s again", id)
	}
	a.notes.Set(c, id, receipt{})
	if id[len(id)-1] != '~' {
		a.note.Set(c, id+"~", c.LogTime())
	}
	b, _ := a.balances.Get(c, "")
	b.History = b.History*31 + int64(c.LogTime()/state.Millisecond) + int64(id[len(id)-1])
	a.balances.Set(c, "", b)
	return nil
}

// audits wait for event time: what an account was asked about is looked at once
// nothing older is expected.
type audits struct {
	asked operators.In[balance]
	open  operators.Table[balance]
	look  operators.Timer
	found operators.Out[balance]
}

func (a *audits) Declare(d *operators.Declaration) {
	a.open = operators.Keeps[balance](d, "open", operators.MaxRows(10_000))
	a.found = operators.Emits[balance](d, "audit.done")
	a.look = operators.OnTimer(d, "look", operators.EventClock, a.onLook)
	a.asked = operators.On(d, "audit.asked", func(c operators.Context, e *balance) error {
		a.open.Set(c, c.Cause().ID, *e)
		a.look.Set(c, c.Cause().ID, c.EventTime()+500*state.Millisecond)
		return nil
	})
}

func (a *audits) onLook(c operators.Context, id string) error {
	b, _ := a.open.Get(c, id)
	b.History = int64(c.Watermark() / state.Second)
	a.open.Delete(c, id)
	a.open.Set(c, "", b)
	a.found.Emit(c, "day/"+c.Key(), &b)
	return nil
}

// reports wait for event time one stage further down.
type reports struct {
	done operators.In[balance]
	rows operators.Table[balance]
	look operators.Timer
}

func (p *reports) Declare(d *operators.Declaration) {
	p.rows = operators.Keeps[balance](d, "rows", operators.MaxRows(10_000))
	p.look = operators.OnTimer(d, "look", operators.EventClock, func(c operators.Context, id string) error {
		p.rows.Set(c, id, balance{Account: "done", History: int64(c.Watermark() / state.Second)})
		return nil
	})
	p.done = operators.On(d, "audit.done", func(c operators.Context, e *balance) error {
		p.rows.Set(c, e.Account, *e)
		p.look.Set(c, e.Account, c.EventTime()+state.Second)
		return nil
	})
}
