package core

import (
	"anabranch.dev/internal/planted"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

// bound is a visitor that adds up the most bytes that a value can take when it
// is stored. It costs much less than encoding the value.
type bound struct {
	n     int
	level uint8
}

const (
	boundHeader = 5 // of a list, struct or text, at most
	boundNumber = 9
)

// of is the bound of a whole value in the format of a feature level.
func (b *bound) of(level uint8, v state.Visitable) int {
	b.n, b.level = boundHeader+boundNumber, level
	v.Visit(b)
	return b.n
}

// Level implements [state.Visitor], as do the methods below.
func (b *bound) Level() uint8 { return b.level }

func (b *bound) Int(string, *int64)             { b.n += boundNumber }
func (b *bound) Uint(string, *uint64)           { b.n += boundNumber }
func (b *bound) Bool(string, *bool)             { b.n++ }
func (b *bound) Time(string, *state.Time)       { b.n += boundNumber }
func (b *bound) Decimal(string, *state.Decimal) { b.n += boundNumber }
func (b *bound) String(_ string, p *string)     { b.n += boundHeader + len(*p) }
func (b *bound) Bytes(_ string, p *[]byte)      { b.n += boundHeader + len(*p) }
func (b *bound) BeginStruct(string)             { b.n += boundHeader }
func (b *bound) EndStruct()                     {}
func (b *bound) EndOptional()                   {}
func (b *bound) EndList()                       {}

func (b *bound) BeginOptional(_ string, present bool) bool {
	b.n += boundHeader
	return present
}

func (b *bound) BeginList(_ string, n int) int {
	b.n += boundHeader
	return n
}

func (b *bound) Nested(_ string, value state.Visitable, raw *[]byte) {
	b.n += boundHeader
	if value == nil {
		b.n += len(*raw)
		return
	}
	b.n += boundHeader + boundNumber
	value.Visit(b)
}

// fits says whether a value takes at most limit bytes when it is stored, and
// how many it takes at most.
func (c *Core) fits(v state.Visitable, limit int) (most int, ok bool) {
	if s, sized := v.(operators.Sized); sized {
		if most = s.MostBytes(); most <= limit {
			return most, true
		}
	}
	level := c.level
	if planted.Is("core: sizes as the build would write") {
		level = uint8(c.cfg.Knows)
	}
	if most = c.bound.of(level, v); most <= limit {
		return most, true
	}
	most = c.cfg.Codec.Size(level, v)
	return most, most <= limit
}
