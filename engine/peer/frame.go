package peer

import (
	"encoding/binary"
	"io"
	"math"
	"net"
	"time"

	"github.com/zeebo/xxh3"
)

// A frame is one request or one response on a connection for calls: its length
// (u32), a checksum (u64, xxh3) of what follows, and that:
//
//	request:  number (u64), budget in microseconds (u64), method (u8 + bytes), body
//	response: number (u64), status (u8), code (u8 + bytes), text (u16 + bytes), body
//
// The number counts a connection's requests; a response repeats it, so that none
// is taken for the answer to another one. A budget of 0 is none.
const (
	frameHead = 4 + 8
	maxMethod = 64
	maxText   = math.MaxUint16
	maxFrame  = MaxMessage + 8 + 1 + 1 + math.MaxUint8 + 2 + maxText

	// wholeFrame is up to which size a frame is written as one piece, at the
	// price of copying its body.
	wholeFrame = 16 << 10
	// firstPiece is how much memory a frame gets on its word alone; more comes
	// with the bytes.
	firstPiece = 64 << 10
)

type request struct {
	number uint64
	budget time.Duration
	method string
	body   []byte
}

type response struct {
	number uint64
	status status
	code   string
	text   string
	body   []byte
}

// status is what became of a request.
type status uint8

const (
	statusDone    status = 1 // body is the answer
	statusRefused status = 2 // the handler said no, by code and text
	statusNotRun  status = 3 // the handler was not run, and text says why
)

var (
	errChecksum = refuse(ReasonFrame, "checksum of a frame does not fit")
	errFrame    = refuse(ReasonFrame, "frame is cut off inside")
	errTooLong  = refuse(ReasonFrame, "frame is above the limit")
)

func (q *request) head() []byte {
	b := make([]byte, frameHead, frameHead+8+8+1+len(q.method)+min(len(q.body), wholeFrame))
	b = binary.BigEndian.AppendUint64(b, q.number)
	b = binary.BigEndian.AppendUint64(b, uint64(q.budget.Microseconds()))
	return appendName(b, q.method)
}

func (a *response) head() []byte {
	a.text = a.text[:min(len(a.text), maxText)]
	b := make([]byte, frameHead, frameHead+8+1+1+len(a.code)+2+len(a.text)+min(len(a.body), wholeFrame))
	b = binary.BigEndian.AppendUint64(b, a.number)
	b = append(b, byte(a.status))
	b = appendName(b, a.code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(a.text)))
	return append(b, a.text...)
}

// writeFrame writes a frame of a head, which has room for length and checksum at
// its front, and a body. all is false if the frame was certainly not written to
// its end, so that nobody can have read it.
func writeFrame(c net.Conn, head, body []byte) (all bool, err error) {
	size := len(head) + len(body)
	binary.BigEndian.PutUint32(head, uint32(size-frameHead))
	if size <= wholeFrame {
		whole := append(head, body...)
		binary.BigEndian.PutUint64(whole[4:], xxh3.Hash(whole[frameHead:]))
		n, err := c.Write(whole)
		return n == size, err
	}
	h := xxh3.New()
	h.Write(head[frameHead:]) // a hash takes everything
	h.Write(body)
	binary.BigEndian.PutUint64(head[4:], h.Sum64())
	n, err := (&net.Buffers{head, body}).WriteTo(c)
	return n == int64(size), err
}

// readFrame reads what follows a frame's head.
func readFrame(r io.Reader) ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n > maxFrame {
		return nil, errTooLong
	}
	b := make([]byte, 0, min(n, firstPiece))
	for {
		have := len(b)
		b = b[:cap(b)]
		if _, err := io.ReadFull(r, b[have:]); err != nil {
			return nil, midway(err)
		}
		if int64(len(b)) == n {
			break
		}
		b = append(make([]byte, 0, min(n, 2*int64(len(b)))), b...)
	}
	if xxh3.Hash(b) != binary.BigEndian.Uint64(head[4:]) {
		return nil, errChecksum
	}
	return b, nil
}

// parseRequest reads a request's frame. The body is the frame's own bytes.
func parseRequest(b []byte) (*request, error) {
	if len(b) < 8+8 {
		return nil, errFrame
	}
	q := &request{number: binary.BigEndian.Uint64(b)}
	budget := min(binary.BigEndian.Uint64(b[8:]), math.MaxInt64/uint64(time.Microsecond))
	q.budget = time.Duration(budget) * time.Microsecond
	var ok bool
	q.method, q.body, ok = cutName(b[16:])
	switch {
	case !ok:
		return nil, errFrame
	case len(q.method) == 0 || len(q.method) > maxMethod:
		return nil, refuse(ReasonFrame, "method name of %d bytes", len(q.method))
	case len(q.body) > MaxMessage:
		return nil, errTooLong
	}
	return q, nil
}

// parseResponse reads a response's frame. The body is the frame's own bytes.
func parseResponse(b []byte) (*response, error) {
	if len(b) < 8+1 {
		return nil, errFrame
	}
	a := &response{number: binary.BigEndian.Uint64(b), status: status(b[8])}
	code, b, ok := cutName(b[9:])
	if !ok || len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
		return nil, errFrame
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	a.code, a.text, a.body = code, string(b[2:n]), b[n:]
	switch {
	case a.status < statusDone || a.status > statusNotRun:
		return nil, refuse(ReasonFrame, "status %d of a response is not known", a.status)
	case len(a.body) > MaxMessage:
		return nil, errTooLong
	}
	return a, nil
}
