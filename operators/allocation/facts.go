package allocation

import "encoding/binary"

// facts are what an explanation is made from: numbers and names one after the
// other, written with a decision and read only when somebody asks for it. They
// are much smaller than the explanation and cost little to keep. What they hold,
// in which order, is said where they are written: explain.go for plans,
// explainline.go for lines. They are read in render.go.
type facts struct{ b []byte }

func (f *facts) number(n int64) { f.b = binary.AppendVarint(f.b, n) }

func (f *facts) text(s string) {
	f.b = append(binary.AppendUvarint(f.b, uint64(len(s))), s...)
}

// known are facts being read. What is not there reads as zero and broken is set.
type known struct {
	b      []byte
	broken bool
}

func (k *known) number() int64 {
	n, size := binary.Varint(k.b)
	if size <= 0 {
		k.broken, k.b = true, nil
		return 0
	}
	k.b = k.b[size:]
	return n
}

// name is a text, as a part of the facts.
func (k *known) name() []byte {
	n, size := binary.Uvarint(k.b)
	if size <= 0 || n > uint64(len(k.b)-size) {
		k.broken, k.b = true, nil
		return nil
	}
	name := k.b[size : size+int(n)]
	k.b = k.b[size+int(n):]
	return name
}

func (k *known) text() string { return string(k.name()) }

// count is the length of a list whose items take a byte or more each.
func (k *known) count() int {
	n := k.number()
	if n < 0 || n > int64(len(k.b)) {
		k.broken, k.b = true, nil
		return 0
	}
	return int(n)
}
