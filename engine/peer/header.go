package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// A header is the first thing on a connection: headerMagic, the length of the
// rest (u16), and the rest: kind (u8), group (u64), incarnation (u64), and three
// names, each with its length (u8) before it. The answer is headerMagic and one more name, which is
// empty if the connection is welcome and a reason if not.
//
// It is read without a buffer: what follows is not ours.
type header struct {
	kind    kind
	group   uint64 // of a stream, else 0
	life    uint64 // incarnation of the cluster that the sender is in, 0 if it knows of none
	cluster string
	from    string // the node that dials
	target  string // the replica of a stream; the node that is called, empty if its name is not known
}

// kind is what a connection is for.
type kind uint8

const (
	kindStream kind = 1 // Raft's, of one group
	kindCalls  kind = 2 // calls to this node
)

// headerMagic begins every connection; its last byte is the header's version.
const headerMagic = 0x616e6203

const (
	maxName   = 255                         // length of a name in a header, and of a refusal
	minHeader = 1 + 8 + 8 + 3               // what follows the length, with empty names
	maxHeader = minHeader + 3*maxName       // and with the longest ones
	preamble  = 4 + 2                       // magic and length
	tlsRecord = 0x16                        // first byte of a TLS client
	anyMagic  = headerMagic &^ uint32(0xff) // any version's
)

// append adds the header's bytes to b. Names are checked where they come from;
// a longer one would be refused by the other side.
func (h *header) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, headerMagic)
	b = binary.BigEndian.AppendUint16(b, uint16(minHeader+len(h.cluster)+len(h.from)+len(h.target)))
	b = append(b, byte(h.kind))
	b = binary.BigEndian.AppendUint64(b, h.group)
	b = binary.BigEndian.AppendUint64(b, h.life)
	for _, name := range [...]string{h.cluster, h.from, h.target} {
		b = appendName(b, name)
	}
	return b
}

func appendName(b []byte, s string) []byte {
	s = s[:min(len(s), maxName)]
	return append(append(b, byte(len(s))), s...)
}

// cutName takes a name off the front of b.
func cutName(b []byte) (name string, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}

// goodName says whether a name can be shown as it is.
func goodName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// readHeader reads exactly one header. Faults of its bytes are refusals.
func readHeader(r io.Reader) (*header, error) {
	var pre [preamble]byte
	if _, err := io.ReadFull(r, pre[:1]); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(r, pre[1:]); err != nil {
		return nil, midway(err)
	}
	magic, n := binary.BigEndian.Uint32(pre[:]), int(binary.BigEndian.Uint16(pre[4:]))
	switch {
	case pre[0] == tlsRecord:
		return nil, refuse(ReasonTLS, "this port has no TLS")
	case magic&^0xff != anyMagic:
		return nil, refuse(ReasonGarbage, "not a node of anabranch")
	case magic != headerMagic:
		return nil, refuse(ReasonVersion, "version of the protocol is %d, not %d", headerMagic&0xff, magic&0xff)
	case n < minHeader || n > maxHeader:
		return nil, refuse(ReasonGarbage, "header of %d bytes", n)
	}
	rest := make([]byte, n)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, midway(err)
	}
	return parseHeader(rest)
}

// parseHeader reads what follows a header's length.
func parseHeader(rest []byte) (*header, error) {
	if len(rest) < minHeader {
		return nil, refuse(ReasonGarbage, "header of %d bytes", len(rest))
	}
	h := &header{kind: kind(rest[0]), group: binary.BigEndian.Uint64(rest[1:]), life: binary.BigEndian.Uint64(rest[9:])}
	rest = rest[17:]
	for _, name := range [...]*string{&h.cluster, &h.from, &h.target} {
		var ok bool
		if *name, rest, ok = cutName(rest); !ok {
			return nil, refuse(ReasonGarbage, "a name in the header is cut off")
		}
		if !goodName(*name) {
			return nil, refuse(ReasonGarbage, "a name in the header is not printable")
		}
	}
	switch {
	case len(rest) != 0:
		return nil, refuse(ReasonGarbage, "%d bytes too many in the header", len(rest))
	case h.kind != kindStream && h.kind != kindCalls:
		return nil, refuse(ReasonGarbage, "kind %d of connection is not known", h.kind)
	case h.cluster == "" || h.from == "":
		return nil, refuse(ReasonGarbage, "a name in the header is missing")
	case h.kind == kindCalls && h.group != 0:
		return nil, refuse(ReasonGarbage, "calls to a group")
	}
	return h, nil
}

// writeAnswer tells the dialer that it is welcome (an empty reason) or why not.
func writeAnswer(c net.Conn, reason string) error {
	_, err := c.Write(appendName(binary.BigEndian.AppendUint32(nil, headerMagic), reason))
	return err
}

// readAnswer reads what writeAnswer wrote.
func readAnswer(c net.Conn) error {
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return fmt.Errorf("no answer to the header: %w", err)
	}
	if binary.BigEndian.Uint32(head[:]) != headerMagic {
		return errors.New("no node of anabranch there, or one of another version")
	}
	reason := make([]byte, head[4])
	if _, err := io.ReadFull(c, reason); err != nil {
		return fmt.Errorf("answer to the header: %w", midway(err))
	}
	if len(reason) > 0 {
		return fmt.Errorf("refused: %s", reason)
	}
	return nil
}

// midway is err where an end of the bytes is not an orderly one.
func midway(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
