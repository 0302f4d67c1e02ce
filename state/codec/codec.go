// Package codec turns rows, events and log entries into bytes and back: the one
// encoding of everything that a replica stores or replicates.
//
// A value is a MessagePack array of its feature level and its fields in the
// order in which they visit themselves. Nested structs are arrays of their
// fields, absent optional values nil, a [state.Nested] a byte string that holds
// a value of its own. There are no maps and no floats, and each number and
// length has its shortest form: equal values have equal bytes, on every machine
// and in every run, and decoding accepts nothing else. Empty lists, strings and
// byte strings come back as their zero values.
//
// Decoding trusts nothing: lengths are checked against the bytes that are left
// before anything is allocated, and bytes left over are an error. It never
// panics and never keeps the bytes it was given.
//
// The package also says what stored keys and stored rows look like and how they
// are hashed into a shard's digest; that is in row.go.
//
// Start at [Codec].
package codec

import (
	"errors"
	"fmt"
	"sync"

	"anabranch.dev/state"
)

// ErrCorrupt is the cause of every error of decoding: the bytes are not what
// was once encoded, or were written by a build that knows more fields.
var ErrCorrupt = errors.New("corrupt encoding")

// Codec implements [state.Codec]. It is safe for use by several goroutines.
type Codec struct {
	encoders sync.Pool
	decoders sync.Pool
}

var _ state.Codec = (*Codec)(nil)

// New returns a codec.
func New() *Codec { return &Codec{} }

// Append appends v, written in the format of a feature level.
func (c *Codec) Append(b []byte, level uint8, v state.Visitable) ([]byte, error) {
	e := c.encoder()
	e.b, e.level = b, level
	e.value(v)
	out, err := e.b, e.err
	c.release(e)
	if err != nil {
		return b, err
	}
	return out, nil
}

// Size is the number of bytes that Append would add.
func (c *Codec) Size(level uint8, v state.Visitable) int {
	e := c.encoder()
	e.b, e.level = e.scratch[:0], level
	e.value(v)
	n := len(e.b)
	if cap(e.b) <= maxScratchBytes {
		e.scratch = e.b
	}
	c.release(e)
	return n
}

// Decode reads what Append wrote into v, which must be empty.
func (c *Codec) Decode(b []byte, v state.Visitable) error {
	d, _ := c.decoders.Get().(*decoder)
	if d == nil {
		d = &decoder{words: new(words)}
	}
	d.b = b
	d.value(v)
	err := d.err
	if err == nil && len(d.b) != d.pos {
		err = fmt.Errorf("%w: %d bytes left over", ErrCorrupt, len(d.b)-d.pos)
	}
	d.reset()
	c.decoders.Put(d)
	return err
}

// Level returns the feature level that a value was written in, so that a reader
// which doesn't know it can wait instead of decoding.
func Level(b []byte) (uint8, error) {
	d := decoder{b: b}
	d.openValue()
	return d.level, d.err
}

// maxScratchBytes is the largest buffer that is kept for the next call.
const maxScratchBytes = 64 << 10

func (c *Codec) encoder() *encoder {
	if e, ok := c.encoders.Get().(*encoder); ok {
		return e
	}
	return &encoder{}
}

func (c *Codec) release(e *encoder) {
	e.reset()
	c.encoders.Put(e)
}
