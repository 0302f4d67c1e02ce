// Package wire turns the bytes of records into events and outgoing records into
// bytes. The outside form is JSON, in the shape of docs/topics.md; records may
// also come in as MessagePack with the same names, and either may be the payload
// of a CloudEvent.
//
// [Decoder] is a pure function of a record: the same bytes give the same events
// on every node, at any time. It checks everything that can be judged from the
// bytes alone (syntax, limits, required fields, units, closed lists) and gives
// every fault one stable code, in code.go. What needs knowledge, such as an
// unknown store or a clock that is off, is judged in the core.
//
// Privacy begins here. Identifiers of persons leave Decode only as keyed
// pseudonyms ([Pseudonymiser]); every string field of every event type is
// classified in field.go, and one that is not classified is dropped. Rejects
// show only the fields that field.go names, and of these only values that look
// like codes.
//
// JSON (document.go) and MessagePack (messagepack.go) are checked and cut into
// the same nodes; from there on there is one path. Types are decoded and encoded
// through their Visit methods: a new event type is one line in kind.go.
//
// How values are written:
//
//   - times: RFC 3339 in UTC, to the microsecond; null when not set
//   - durations: fields ending in _us, whole microseconds as a JSON number
//   - money and other decimals: strings with two to six places ("2.55")
//   - lat, lon and fields ending in _dbm: JSON numbers without trailing zeros (51.5)
//   - hashes: lower-case hexadecimal
//
// How they are read: integers as JSON integers without a fraction or exponent;
// decimals as strings or as JSON numbers, in both cases only when they have no
// exponent and are exact in six places (what is measured is rounded instead); null
// and "" stand for a field that is not there; unknown fields are ignored; a
// known field given twice is refused.
//
// No goroutines; a Decoder, an Encoder and a Pseudonymiser are safe for
// concurrent use. Start at [Decoder.Decode], then reader.go.
package wire
