package wire

import (
	"crypto/sha256"
	"strconv"

	"anabranch.dev/operators"
)

// reject makes the event that stands for a record that can't be applied. Its
// envelope holds only what looks like a code.
func (s *decoding) reject(code string) operators.Event {
	hash := sha256.Sum256(s.raw.Value)
	why := &operators.Reject{Code: code, Hash: hash[:], Fields: make([]operators.Field, 0, 16)}
	event := operators.Event{Offset: s.raw.Offset, Trace: s.headers.trace, Reject: why}
	if s.in.field != "" {
		why.Fields = append(why.Fields, operators.Field{Name: FieldAtFault, Value: s.in.field})
	}
	if s.doc.code != "" {
		why.Fields = append(why.Fields, operators.Field{Name: FaultAt, Value: strconv.Itoa(s.doc.at)})
	}
	if event.Type = s.event.Type; event.Type == "" {
		event.Type = s.shown("type", s.headers.typ)
	}
	event.Source = s.shown("source", s.headers.source)
	event.ID = s.shown("id", s.headers.id)
	event.Time, _ = parseTime(s.said("time", s.headers.time))
	for _, f := range [...]operators.Field{{Name: "type", Value: event.Type}, {Name: "source", Value: event.Source}, {Name: "id", Value: event.ID}} {
		if f.Value != "" {
			why.Fields = append(why.Fields, f)
		}
	}
	if s.root != none && s.doc.nodes[s.root].size <= MaxItems {
		why.Fields = s.doc.appendShown(why.Fields, s.root)
	}
	return event
}

// shown returns an envelope field if it looks like a code.
func (s *decoding) shown(name string, header []byte) string {
	if b := s.said(name, header); looksLikeCode(b, 64) {
		return string(b)
	}
	return ""
}

// said returns an envelope field as it is given, whatever else is wrong.
func (s *decoding) said(name string, header []byte) []byte {
	if s.root == none {
		return header
	}
	if i, _ := s.doc.find(0, name); i != none && s.doc.nodes[i].kind == kindString {
		return s.doc.bytes(&s.doc.nodes[i])
	}
	return header
}
