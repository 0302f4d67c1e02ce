package simload

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/engine/sim"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

// largest is how many bytes a record may have in the simulated shop, so that one
// of too many is cheap.
const largest = 4 << 10

// hostile are records that nobody can take, and why they are refused.
var hostile = []struct {
	code  string
	value func(good []byte) []byte
}{
	{wire.CodeMalformedJSON, func(good []byte) []byte { return good[:len(good)*2/3] }},
	{wire.CodeMalformedJSON, func([]byte) []byte { return []byte("\x7fELF\x02\x01 is not a sale") }},
	{wire.CodeTooLarge, func(good []byte) []byte { return append(good, bytes.Repeat([]byte(" "), largest)...) }},
	{wire.CodeTooDeep, func([]byte) []byte { return []byte(strings.Repeat("[", 1000) + strings.Repeat("]", 1000)) }},
	{wire.CodeNotAnObject, func([]byte) []byte { return []byte(`["stock.received"]`) }},
	{wire.CodeWrongType, func(good []byte) []byte { return bytes.Replace(good, []byte(`"place-1"`), []byte(`{"place":1}`), 1) }},
	{wire.CodeWrongType, func(good []byte) []byte {
		return bytes.Replace(good, []byte(`"quantity":1`), []byte(`"quantity":"many"`), 1)
	}},
	{wire.CodeInvalidUTF8, func(good []byte) []byte { return bytes.Replace(good, []byte("shop"), []byte("sh\xff\xfe"), 1) }},
}

// newDecoder is the one that nodes have.
func newDecoder() (*wire.Decoder, error) {
	key, err := wire.ParseKey(strings.Repeat("5a", wire.MinKeyBytes))
	if err != nil {
		return nil, err
	}
	pseudonyms, err := wire.NewPseudonymiser(wire.Privacy{Key: key})
	if err != nil {
		return nil, err
	}
	d := wire.NewDecoder(pseudonyms)
	d.Limit(largest)
	return d, nil
}

// Decode implements sim.Decoder.
func (l *Load) Decode(alias string, r *connectors.RawRecord, emit func(operators.Event)) operators.Mark {
	return l.decoder.Decode(alias, r, emit)
}

// raw brings in bytes: mostly such as nobody can take.
func (l *Load) raw(r *rand.Rand, at state.Time, emit func(sim.Input)) {
	good := fmt.Appendf(nil, `{"id":"raw-%d","source":"shop","type":"stock.received","time":%q,"sku":%q,"location":"place-1","quantity":1,"document":"raw-%d"}`,
		l.n, at.Wall().Format(time.RFC3339), sku(r.IntN(skus)), l.n)
	in := sim.Input{Topic: retail.TopicStock, Partition: r.IntN(stock), Value: good, After: later(r)}
	if n := r.IntN(len(hostile) + 1); n < len(hostile) {
		in.Value = hostile[n].value(good)
		l.refused[hostile[n].code]++
	}
	emit(in)
}

// hostile finds each record that nobody can take among the dead letters, with its
// reason, or among what was lost.
func (l *Load) hostile(f *sim.Final) (errs []error) {
	left := map[string]int{}
	for code, n := range l.refused {
		left[code] = n
	}
	for i := range f.Lost {
		if r := f.Lost[i].Reject; r != nil {
			left[r.Code]--
		}
	}
	for _, rec := range f.Records {
		if d, ok := rec.Payload.Value.(*operators.DeadLetter); ok {
			left[d.Code]--
		}
	}
	for _, kind := range hostile {
		if n := left[kind.code]; n != 0 {
			errs = append(errs, fmt.Errorf("V11: of %d hostile records %d are not dead letters %s", l.refused[kind.code], n, kind.code))
		}
	}
	return errs
}
