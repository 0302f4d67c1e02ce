// Package tally is the smallest topology that uses a group and a node in
// earnest, for their tests: it adds numbers up per name and says each new sum.
// Its records are lines of text, "name number id microseconds".
package tally

import (
	"fmt"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// Added is the event: a number for a name.
type Added struct {
	Name string
	N    int64
	More int64 // since feature level 2
}

// Visit lists the fields of a.
func (a *Added) Visit(v state.Visitor) {
	v.String("name", &a.Name)
	v.Int("n", &a.N)
	if v.Level() >= 2 {
		v.Int("more", &a.More)
	}
}

// Total is the row and the outgoing event.
type Total struct {
	Name string
	Sum  int64
}

// Visit lists the fields of t.
func (t *Total) Visit(v state.Visitor) {
	v.String("name", &t.Name)
	v.Int("sum", &t.Sum)
}

// Question asks for a name's total.
type Question struct{}

// Visit lists no fields.
func (*Question) Visit(state.Visitor) {}

type operator struct {
	in    operators.In[Added]
	out   operators.Out[Total]
	sums  operators.Table[Total]
	query operators.Query[Question, Total]
}

// Declare implements operators.Operator.
func (o *operator) Declare(d *operators.Declaration) {
	o.out = operators.Emits[Total](d, "total")
	o.sums = operators.Keeps[Total](d, "sum", operators.MaxRows(1))
	o.in = operators.On(d, "added", o.added)
	o.query = operators.Answers(d, "sum", func(r operators.Reader, _ *Question) (*Total, error) {
		if sum, ok := o.sums.Get(r, ""); ok {
			return &sum, nil
		}
		return nil, nil
	})
}

// added refuses negative numbers.
func (o *operator) added(c operators.Context, e *Added) error {
	if e.N < 0 {
		return operators.Rejectf("negative", "%d", e.N)
	}
	sum, _ := o.sums.Get(c, "")
	sum.Name, sum.Sum = c.Key(), sum.Sum+e.N+e.More
	o.sums.Set(c, "", sum)
	c.Answer(c.Request(), o.out.Emit(c, c.Key(), &sum))
	return nil
}

// Names in the topology.
const (
	Input  = "numbers" // alias of the input topic
	Output = "totals"  // of the output topic
	Stage  = "tally"
	Query  = "sum"
)

// Plan builds the topology.
func Plan() (*topology.Plan, error) {
	b := topology.New("tally")
	topology.InputTopic(b, Input, false)
	op := topology.Add(b, Stage, &operator{})
	topology.Source(b, Input, op.in, func(e *Added) string { return e.Name })
	topology.Sink(b, op.out, Output, topology.Indexed())
	return b.Build()
}

// Event is one event as an API would submit it.
func Event(id, name string, n int64) operators.Event {
	return operators.Event{Source: "test", ID: id, Type: "added", Time: state.TimeOf(time.Now()),
		Payload: state.Nested{Value: &Added{Name: name, N: n}}}
}

// Line is one event as a record's value.
func Line(id, name string, n int64) []byte {
	return fmt.Appendf(nil, "%s %d %s %d", name, n, id, time.Now().UnixMicro())
}

// Codec encodes and decodes records.
type Codec struct {
	Topics map[string]string // alias → Kafka's name
}

// Encode implements connectors.Encoder: name=sum, or the id of a dead letter.
func (c Codec) Encode(r *operators.Record) (connectors.OutRecord, error) {
	out := connectors.OutRecord{Topic: c.Topics[r.Topic], Key: []byte(r.Key), Value: []byte(r.ID)}
	if v, ok := r.Payload.Value.(*Total); ok {
		out.Value = fmt.Appendf(nil, "%s=%d", v.Name, v.Sum)
	}
	return out, nil
}

// Decode implements connectors.Decoder.
func (c Codec) Decode(_ string, r *connectors.RawRecord, emit func(e operators.Event)) operators.Mark {
	a, id := &Added{}, ""
	e := operators.Event{Source: "test", Type: "added"}
	if _, err := fmt.Sscan(string(r.Value), &a.Name, &a.N, &id, (*int64)(&e.Time)); err != nil {
		e.Reject = &operators.Reject{Code: "unreadable"}
	}
	e.ID, e.Payload.Value = id, a
	emit(e)
	return operators.Mark{}
}
