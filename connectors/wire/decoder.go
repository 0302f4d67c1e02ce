package wire

import (
	"bytes"
	"strconv"
	"sync"
	"unicode/utf8"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// markType is the type of a replay mark: a record that says that nothing
// before its time follows in its partition.
const markType = "replay.mark"

// Decoder turns records into events. It implements [connectors.Decoder].
type Decoder struct {
	privacy  *Pseudonymiser
	maxBytes int       // of a record
	scratch  sync.Pool // of *decoding
	own      map[string]*kind
}

var _ connectors.Decoder = (*Decoder)(nil)

// NewDecoder makes a Decoder whose events carry p's pseudonyms.
func NewDecoder(p *Pseudonymiser) *Decoder {
	d := &Decoder{privacy: p, maxBytes: MaxRecordBytes}
	d.scratch.New = func() any { return new(decoding) }
	return d
}

// Limit makes it refuse records of more bytes, where that is fewer than
// [MaxRecordBytes]. It is for before the first Decode.
func (d *Decoder) Limit(bytes int) { d.maxBytes = min(bytes, MaxRecordBytes) }

// decoding is the memory of one Decode.
type decoding struct {
	topic   string
	raw     *connectors.RawRecord
	headers headers
	doc     document
	own     map[string]*kind
	root    uint32 // the object with the payload, none until it is known
	in      reader
	event   operators.Event // the event in the making, for strings to be set in
}

// maxKeptNodes and maxKeptBytes bound what is kept from record to record, so
// that one huge record doesn't cost memory for ever.
const (
	maxKeptNodes = 1 << 14
	maxKeptBytes = 1 << 16
)

// Decode implements [connectors.Decoder]. Every record gives exactly one event,
// except a control record and a mark, which give none.
func (d *Decoder) Decode(topic string, r *connectors.RawRecord, emit func(e operators.Event)) operators.Mark {
	if r.Control {
		return operators.Mark{}
	}
	s := d.scratch.Get().(*decoding)
	s.own = d.own
	s.open(topic, r, d.privacy)
	event, mark := s.decode(d.maxBytes)
	s.close()
	d.scratch.Put(s)
	if mark.Time == 0 {
		emit(event)
	}
	return mark
}

// Unmarshal reads one event from JSON, as Decode does. A body without a type is
// taken to be of typeName, if that is not empty.
func (d *Decoder) Unmarshal(typeName string, body []byte) operators.Event {
	r := connectors.RawRecord{Value: body}
	if body == nil {
		r.Value = []byte{}
	}
	if typeName != "" {
		r.Headers = []connectors.Header{{Key: headerType, Value: []byte(typeName)}}
	}
	event := operators.Event{Type: markType, Reject: &operators.Reject{Code: CodeUnknownType}}
	d.Decode("", &r, func(e operators.Event) { event = e })
	return event
}

func (s *decoding) open(topic string, r *connectors.RawRecord, p *Pseudonymiser) {
	s.topic, s.raw = topic, r
	s.headers.read(r.Headers)
	s.root = none
	s.in.doc, s.in.privacy = &s.doc, p
	s.in.begin(nil, none)
}

// close lets go of the record.
func (s *decoding) close() {
	s.in.release()
	clear(s.doc.numbers)
	s.doc.begin(nil)
	if cap(s.doc.nodes) > maxKeptNodes || cap(s.in.buffer) > maxKeptBytes || cap(s.doc.numbers) > maxKeptBytes {
		s.doc, s.in = document{}, reader{}
	}
	s.topic, s.raw, s.headers, s.event = "", nil, headers{}, operators.Event{}
}

func (s *decoding) decode(maxBytes int) (operators.Event, operators.Mark) {
	switch {
	case s.raw.Value == nil:
		return s.deletion(), operators.Mark{}
	case len(s.raw.Value) > maxBytes:
		return s.reject(CodeTooLarge), operators.Mark{}
	case isMessagePack(s.headers.contentType):
		s.doc.unpack(s.raw.Value)
	case isCSV(s.headers.contentType), s.headers.contentType == "" && looksLikeRow(s.raw.Value):
		row := rees46(s.raw.Value)
		if row == nil {
			return s.reject(CodeMalformedRow), operators.Mark{}
		}
		s.doc.parse(row)
	case isJSON(s.headers.contentType):
		s.doc.parse(s.raw.Value)
	default:
		return s.reject(CodeContentType), operators.Mark{}
	}
	switch {
	case s.doc.code != "":
		return s.reject(s.doc.code), operators.Mark{}
	case s.doc.nodes[0].kind != kindObject:
		return s.reject(CodeNotAnObject), operators.Mark{}
	}
	return s.object()
}

// object decodes a document that is an object: envelope, then payload.
func (s *decoding) object() (operators.Event, operators.Mark) {
	in := &s.in
	s.root = 0
	in.begin(nil, 0)
	if name, ok := in.raw("type"); ok && string(name) == segmentType {
		if !s.doc.parse(s.doc.segment()) {
			return s.reject(s.doc.code), operators.Mark{}
		}
		in.begin(nil, 0)
	}
	structured := isStructured(s.headers.contentType)
	if structured && s.headers.trace == "" {
		s.headers.traced(s.said(headerTrace, nil))
	}
	name := s.field("type", s.headers.typ)
	if string(name) == markType {
		return s.mark()
	}
	k := s.kindOf(name)
	if k == nil {
		in.fault(CodeUnknownType, "type")
		return s.reject(in.code), operators.Mark{}
	}
	s.event = operators.Event{Offset: s.raw.Offset, Type: k.name, Trace: s.headers.trace}
	if id := s.field("id", s.headers.id); id == nil {
		in.fault(CodeIDMissing, "id")
	} else {
		in.set(&s.event.ID, id)
	}
	in.set(&s.event.Source, s.field("source", s.headers.source))
	s.event.Time = s.time()
	if structured {
		if s.root = in.object("data"); s.root == none {
			in.fault(CodeMissingField, "data")
		}
	}
	return s.payload(k), operators.Mark{}
}

// field returns an envelope field: from the document, else from a header.
func (s *decoding) field(name string, header []byte) []byte {
	if b, ok := s.in.raw(name); ok {
		return b
	}
	if len(header) == 0 || !utf8.Valid(header) {
		if name != "id" {
			s.in.fault(CodeMissingField, name)
		}
		return nil
	}
	s.in.text(name, header)
	return header
}

func (s *decoding) time() state.Time {
	text := s.field("time", s.headers.time)
	t, ok := parseTime(text)
	if !ok {
		s.in.fault(CodeTimeInvalid, "time")
	}
	return t
}

func (s *decoding) mark() (operators.Event, operators.Mark) {
	t := s.time()
	if s.in.code != "" {
		return s.reject(s.in.code), operators.Mark{}
	}
	return operators.Event{}, operators.Mark{Time: t}
}

// payload visits the payload into a new value of the kind and completes
// the event.
func (s *decoding) payload(k *kind) operators.Event {
	in := &s.in
	if in.code == "" && s.doc.nodes[s.root].size > MaxItems {
		in.fault(CodeTooManyItems, "")
	}
	if in.code == "" {
		in.begin(k, s.root)
		value := k.make()
		value.Visit(in)
		s.event.Payload.Value = value
	}
	if in.code != "" {
		return s.reject(in.code)
	}
	in.settle()
	return s.event
}

// deletion decodes a record without a value: its key, type/id, says which
// reference data is deleted. It has no envelope; its id is made of key and
// offset, so that the same record always gives the same event.
func (s *decoding) deletion() operators.Event {
	name, rest, _ := bytes.Cut(s.raw.Key, []byte{'/'})
	k := s.kindOf(name)
	if k == nil || k.id == nil || !utf8.Valid(rest) {
		return s.reject(CodeNoValue)
	}
	body := []byte(`{"deleted":true`)
	for i, field := range k.id {
		part := rest
		if i+1 < len(k.id) { // the last ones are numbers or closed lists and hold no slash
			cut := max(0, bytes.LastIndexByte(rest, '/'))
			part, rest = rest[:cut], bytes.TrimPrefix(rest[cut:], []byte{'/'})
		}
		body = append(append(append(body, `,"`...), field...), `":`...)
		if _, ok, _ := parseInteger(part); ok && numeric(field) {
			body = append(body, part...)
		} else {
			body = appendQuoted(body, string(part))
		}
	}
	if !s.doc.parse(append(body, '}')) {
		return s.reject(s.doc.code)
	}
	s.event = operators.Event{
		Offset: s.raw.Offset, Type: k.name, Trace: s.headers.trace, Time: s.raw.Time,
		Source: "kafka/" + s.topic,
		ID:     "delete/" + string(s.raw.Key) + "@" + strconv.FormatInt(s.raw.Offset, 10),
	}
	if s.headers.time != nil || s.raw.Time <= 0 {
		s.event.Time = s.time()
	}
	s.root = 0
	return s.payload(k)
}
