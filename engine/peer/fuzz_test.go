package peer

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

// A header is read or refused, and what was read is what was written.
func FuzzHeader(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		h, err := readHeader(r)
		used := b[:len(b)-r.Len()]
		if err != nil {
			if len(used) > preamble+maxHeader {
				t.Errorf("readHeader read %d bytes of a header", len(used))
			}
			return
		}
		if again := h.append(nil); !bytes.Equal(again, used) {
			t.Errorf("readHeader(%x) = %+v, which is %x", used, h, again)
		}
	})
}

// A frame is read or refused, also if its checksum is right, and what was read is
// what was written.
func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if content, err := readFrame(bytes.NewReader(b)); err == nil && !bytes.Equal(rawFrame(content), b[:frameHead+len(content)]) {
			t.Errorf("readFrame(%x) = %x", b, content)
		}
		content, err := readFrame(bytes.NewReader(rawFrame(b)))
		if err != nil || !bytes.Equal(content, b) {
			t.Fatalf("readFrame(frame of %x) = %x, %v", b, content, err)
		}
		if q, err := parseRequest(content); err == nil {
			again, err := parseRequest(append(q.head()[frameHead:], q.body...))
			if err != nil || !reflect.DeepEqual(again, q) {
				t.Errorf("request %+v becomes %+v, %v", q, again, err)
			}
		} else if _, ok := errors.AsType[*refusal](err); !ok {
			t.Errorf("parseRequest(%x) = %v; want a refusal", b, err)
		}
		if a, err := parseResponse(content); err == nil {
			if again := append(a.head()[frameHead:], a.body...); !bytes.Equal(again, b) {
				t.Errorf("response %x becomes %x", b, again)
			}
		} else if _, ok := errors.AsType[*refusal](err); !ok {
			t.Errorf("parseResponse(%x) = %v; want a refusal", b, err)
		}
	})
}
