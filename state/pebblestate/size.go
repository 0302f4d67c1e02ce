package pebblestate

import "anabranch.dev/state"

// slotSize is about what a row takes in memory.
func slotSize(sl *slot) int32 {
	n := slotBytes + len(sl.row)
	if sl.value != nil {
		m := &sl.cell.s.measure
		m.n = 0
		sl.value.Visit(m)
		n += m.n
	}
	return int32(min(n, 1<<30))
}

// measure is a visitor that adds up what the fields take in memory.
type measure struct{ n int }

const (
	wordBytes  = 8
	textBytes  = 16
	sliceBytes = 24
)

func (m *measure) Level() uint8                        { return 255 }
func (m *measure) Int(string, *int64)                  { m.n += wordBytes }
func (m *measure) Uint(string, *uint64)                { m.n += wordBytes }
func (m *measure) Bool(string, *bool)                  { m.n += wordBytes }
func (m *measure) String(_ string, p *string)          { m.n += textBytes + len(*p) }
func (m *measure) Bytes(_ string, p *[]byte)           { m.n += sliceBytes + len(*p) }
func (m *measure) Time(string, *state.Time)            { m.n += wordBytes }
func (m *measure) Decimal(string, *state.Decimal)      { m.n += wordBytes }
func (m *measure) BeginStruct(string)                  {}
func (m *measure) EndStruct()                          {}
func (m *measure) EndOptional()                        {}
func (m *measure) BeginList(_ string, n int) int       { m.n += sliceBytes; return n }
func (m *measure) EndList()                            {}
func (m *measure) BeginOptional(_ string, p bool) bool { m.n += wordBytes; return p }

func (m *measure) Nested(_ string, value state.Visitable, raw *[]byte) {
	m.n += textBytes + sliceBytes + len(*raw)
	if value != nil {
		value.Visit(m)
	}
}
