package httpapi

import "anabranch.dev/state"

// fields is a visitor that sets the named fields of a question and leaves all
// others alone, so that the API need not import the operators it asks.
type fields struct {
	strings  map[string]string
	bools    map[string]bool
	decimals map[string]state.Decimal
}

func (f *fields) Level() uint8 { return 255 }

func (f *fields) String(name string, p *string) {
	if v, ok := f.strings[name]; ok {
		*p = v
	}
}

func (f *fields) Bool(name string, p *bool) {
	if v, ok := f.bools[name]; ok {
		*p = v
	}
}

func (f *fields) Decimal(name string, p *state.Decimal) {
	if v, ok := f.decimals[name]; ok {
		*p = v
	}
}

func (f *fields) Int(string, *int64)                      {}
func (f *fields) Uint(string, *uint64)                    {}
func (f *fields) Bytes(string, *[]byte)                   {}
func (f *fields) Time(string, *state.Time)                {}
func (f *fields) Nested(string, state.Visitable, *[]byte) {}
func (f *fields) BeginStruct(string)                      {}
func (f *fields) EndStruct()                              {}

// BeginOptional lets a question have its position when there is one to set.
func (f *fields) BeginOptional(_ string, _ bool) bool { return len(f.decimals) > 0 }
func (f *fields) EndOptional()                        {}
func (f *fields) BeginList(_ string, n int) int       { return n }
func (f *fields) EndList()                            {}
