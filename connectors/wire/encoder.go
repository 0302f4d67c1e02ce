package wire

import (
	"errors"
	"fmt"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
)

// Version is the version of this package's rules: what is refused, how
// identifiers are normalised, how values are written. Dead letters name it.
const Version = 2

// EncoderConfig configures an [Encoder].
type EncoderConfig struct {
	// Cluster is the cluster's name: records come from "anabranch/<cluster>".
	Cluster string
	// Topics maps the aliases of all topics, in and out, to Kafka's names.
	Topics map[string]string
	// Program is the version of the program, for dead letters.
	Program string
}

// Validate reports every fault.
func (c *EncoderConfig) Validate() error {
	var faults []error
	if c.Cluster == "" {
		faults = append(faults, errors.New("wire: the encoder's cluster name is missing"))
	}
	for alias, name := range c.Topics {
		if name == "" {
			faults = append(faults, fmt.Errorf("wire: topic %s has no Kafka name", alias))
		}
	}
	return errors.Join(faults...)
}

// Encoder turns outgoing records into bytes: the envelope, the payload's fields
// beside it, and the cause. It implements [connectors.Encoder].
type Encoder struct {
	source  string
	topics  map[string]string
	program string
}

var _ connectors.Encoder = (*Encoder)(nil)

// NewEncoder makes an Encoder.
func NewEncoder(cfg EncoderConfig) (*Encoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Encoder{source: "anabranch/" + cfg.Cluster, topics: cfg.Topics, program: cfg.Program}, nil
}

// Encode implements [connectors.Encoder]. The payload must be decoded.
func (e *Encoder) Encode(r *operators.Record) (connectors.OutRecord, error) {
	topic, ok := e.topics[r.Topic]
	switch {
	case !ok:
		return connectors.OutRecord{}, fmt.Errorf("record %s: topic %q has no Kafka name", r.ID, r.Topic)
	case r.Payload.Value == nil:
		return connectors.OutRecord{}, fmt.Errorf("record %s: its payload is not decoded", r.ID)
	}
	value, err := e.Value(r)
	if err != nil {
		return connectors.OutRecord{}, fmt.Errorf("record %s: %w", r.ID, err)
	}
	return connectors.OutRecord{Topic: topic, Key: []byte(r.Key), Value: value, Headers: e.headers(r)}, nil
}

// Value is the record's value, also used for the live feed.
func (e *Encoder) Value(r *operators.Record) ([]byte, error) {
	w := writer{b: make([]byte, 1, 1024)}
	w.b[0] = '{'
	w.text("id", r.ID)
	w.text("source", e.source)
	w.text("type", r.Type)
	w.Time("time", &r.Time)
	w.text("key", r.Key)
	w.Uint("number", &r.Number)
	if d, ok := r.Payload.Value.(*operators.DeadLetter); ok {
		e.deadLetter(&w, d)
	} else {
		r.Payload.Value.Visit(&w)
		w.BeginStruct("cause")
		e.cause(&w, &r.Cause)
		w.EndStruct()
	}
	w.b = append(w.b, '}')
	return w.b, w.err
}

// cause writes the fields of a cause: a position in Kafka, or the source of an
// API event.
func (e *Encoder) cause(w *writer, c *operators.Cause) {
	if c.Topic == "" {
		w.text("source", c.Source)
	} else {
		w.text("topic", e.name(c.Topic))
		w.Int("partition", &c.Partition)
		w.Int("offset", &c.Offset)
	}
	w.text("id", c.ID)
}

// name is Kafka's name of a topic, or its alias if it has none (any more).
func (e *Encoder) name(alias string) string {
	if name, ok := e.topics[alias]; ok {
		return name
	}
	return alias
}

// deadLetter writes where a message came from and why it could not be applied.
func (e *Encoder) deadLetter(w *writer, d *operators.DeadLetter) {
	w.text("reason", d.Code)
	w.text("stage", d.Stage)
	w.text("failed", d.Type)
	w.text("failed_key", d.Key)
	w.BeginStruct("origin")
	e.cause(w, &d.Cause)
	if d.Cause.Topic != "" {
		w.text("topic_id", d.TopicID)
		w.text("source", d.Cause.Source)
	}
	w.Int("index", &d.Cause.Index)
	w.Time("time", &d.Cause.Time)
	w.EndStruct()
	w.Bytes("hash", &d.Hash)
	w.BeginStruct("fields")
	for i := range d.Fields {
		w.text(d.Fields[i].Name, d.Fields[i].Value)
	}
	w.EndStruct()
	w.BeginStruct("versions")
	wire := int64(Version)
	w.Int("wire", &wire)
	w.text("program", e.program)
	w.EndStruct()
}

func (e *Encoder) headers(r *operators.Record) []connectors.Header {
	list := []connectors.Header{
		{Key: headerSpecVersion, Value: []byte("1.0")},
		{Key: headerID, Value: []byte(r.ID)},
		{Key: headerSource, Value: []byte(e.source)},
		{Key: headerType, Value: []byte(r.Type)},
		{Key: headerTime, Value: appendWall(nil, r.Time)},
		{Key: headerContentType, Value: []byte("application/json")},
	}
	if r.Cause.Trace != "" {
		list = append(list, connectors.Header{Key: headerTrace, Value: []byte(r.Cause.Trace)})
	}
	return list
}
