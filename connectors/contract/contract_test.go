package contract_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"anabranch.dev/connectors/contract"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/core"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
	"anabranch.dev/topology/retail"
)

// filler is a visitor that gives every field some value or none.
type filler struct{ dice *rand.Rand }

func (f *filler) Level() uint8 { return 255 }

// often is mostly true.
func (f *filler) often() bool { return f.dice.IntN(4) > 0 }

func (f *filler) Int(_ string, p *int64) {
	if f.often() {
		*p = f.dice.Int64() >> f.dice.IntN(63)
	}
}

func (f *filler) Uint(_ string, p *uint64) { *p = f.dice.Uint64() >> (1 + f.dice.IntN(63)) }
func (f *filler) Bool(_ string, p *bool)   { *p = f.often() }

func (f *filler) String(name string, p *string) {
	if name == "name" { // of a dead letter's field: one of ours
		*p = "sku"
	} else if f.often() {
		*p = []string{"x", "ä\"\n€", strings.Repeat("y", 2000)}[f.dice.IntN(3)]
	}
}

func (f *filler) Bytes(_ string, p *[]byte) { *p = []byte("\x00\xff\x10")[:f.dice.IntN(4)] }

func (f *filler) Time(_ string, p *state.Time) {
	if f.often() {
		*p = state.Time(1 + f.dice.Int64N(1<<52))
	}
}

func (f *filler) Decimal(name string, p *state.Decimal) {
	if *p = state.Decimal(f.dice.Int64N(1<<50) - 1<<49); name == "lat" || name == "lon" || strings.HasSuffix(name, "_dbm") {
		*p %= 90 * state.One
	}
}

func (f *filler) Nested(string, state.Visitable, *[]byte) {}
func (f *filler) BeginStruct(string)                      {}
func (f *filler) EndStruct()                              {}
func (f *filler) BeginOptional(string, bool) bool         { return f.often() }
func (f *filler) EndOptional()                            {}
func (f *filler) BeginList(string, int) int               { return f.dice.IntN(3) }
func (f *filler) EndList()                                {}

// Whatever a record holds, what is written of it fits the schema of its type,
// which names every field that is written.
func TestRecordsFitTheirSchemas(t *testing.T) {
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := wire.NewEncoder(wire.EncoderConfig{Cluster: "dev", Topics: retail.DefaultTopics(), Program: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	fill := &filler{rand.New(rand.NewPCG(seed, 0))}
	for _, e := range contract.Outputs(plan) {
		schema := compile(t, &e)
		payload := payloadOf(plan, e.Type)
		for range 200 {
			r := operators.Record{Type: e.Type, ID: "d-1", Key: "k", Number: 1, Time: 1}
			r.Payload.Value = payload()
			r.Payload.Value.Visit(fill)
			if fill.often() {
				r.Cause = operators.Cause{Topic: "sales", Partition: 1, Offset: 2}
			}
			text, err := encoder.Value(&r)
			if err != nil {
				t.Fatal(err)
			}
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(v); err != nil {
				t.Fatalf("%s: %v\n%s", e.Type, err, text)
			}
			for name := range v.(map[string]any) {
				if e.Schema.Properties[name] == nil {
					t.Fatalf("%s: the schema does not know the field %s", e.Type, name)
				}
			}
		}
	}
}

// payloadOf makes values of a type that goes out.
func payloadOf(p *topology.Plan, eventType string) func() state.Visitable {
	for _, s := range p.Sinks {
		if s.Port.Name == eventType {
			return s.Port.New
		}
	}
	return func() state.Visitable { return &operators.DeadLetter{} }
}

func compile(t *testing.T, e *contract.Event) *jsonschema.Schema {
	t.Helper()
	text, err := e.Document()
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(e.Type, v); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(e.Type)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// The topics that the AsyncAPI document names are the plan's, and each type is on
// the topic that carries it.
func TestAsyncAPITopics(t *testing.T) {
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	text, err := contract.AsyncAPI(plan, retail.DefaultTopics(), "1")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Channels map[string]struct {
			Address  string
			Messages map[string]any
		}
		Operations map[string]any
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for eventType, topic := range map[string]string{"order.placed": "sales", "location": "reference",
		"allocation.failed": "allocations", core.DeadLetterType: "dead-letters"} {
		if c := doc.Channels[topic]; c.Address != "retail."+topic || c.Messages[eventType] == nil {
			t.Errorf("channel %s has address %q and messages %v; want %s in it", topic, c.Address, c.Messages, eventType)
		}
	}
	if doc.Operations["receive.sales"] == nil || doc.Operations["send.allocations"] == nil {
		t.Errorf("operations = %v; want sales received, allocations sent", doc.Operations)
	}
}
