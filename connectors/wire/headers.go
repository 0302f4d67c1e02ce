package wire

import (
	"strings"

	"anabranch.dev/connectors"
)

// Header names of CloudEvents' Kafka binding in binary mode, and of W3C Trace
// Context.
const (
	headerID          = "ce_id"
	headerSource      = "ce_source"
	headerType        = "ce_type"
	headerTime        = "ce_time"
	headerSpecVersion = "ce_specversion"
	headerContentType = "content-type"
	headerTrace       = "traceparent"
	headerEventTrace  = "ce_traceparent" // CloudEvents' extension for tracing
)

// headers is what wire reads of a record's headers.
type headers struct {
	id, source, typ, time []byte
	contentType           string
	trace                 string
}

// read reads a record's headers. The trace of the record itself goes before
// that of the event in it.
func (h *headers) read(list []connectors.Header) {
	var eventTrace []byte
	for i := range list {
		switch v := list[i].Value; list[i].Key {
		case headerID:
			h.id = v
		case headerSource:
			h.source = v
		case headerType:
			h.typ = v
		case headerTime:
			h.time = v
		case headerContentType:
			media, _, _ := strings.Cut(string(v), ";")
			h.contentType = strings.ToLower(strings.TrimSpace(media))
		case headerTrace:
			h.traced(v)
		case headerEventTrace:
			eventTrace = v
		}
	}
	if h.trace == "" {
		h.traced(eventTrace)
	}
}

// traced keeps a traceparent if it is one.
func (h *headers) traced(v []byte) {
	if isTrace(v) {
		h.trace = string(v)
	}
}

// isMessagePack says whether a content type promises one event in MessagePack.
func isMessagePack(contentType string) bool {
	switch contentType {
	case "application/msgpack", "application/x-msgpack", "application/vnd.msgpack":
		return true
	}
	return false
}

// isJSON says whether a content type promises one JSON event.
func isJSON(contentType string) bool {
	switch contentType {
	case "", "application/json", "text/json":
		return true
	case "application/cloudevents-batch+json":
		return false
	}
	return strings.HasSuffix(contentType, "+json")
}

// isStructured says whether the payload stands in the field "data" (CloudEvents
// in structured mode).
func isStructured(contentType string) bool { return contentType == "application/cloudevents+json" }

// isTrace checks a traceparent of version 00 (W3C Trace Context, §3.2). What is
// none is ignored, as the standard asks.
func isTrace(v []byte) bool {
	if len(v) != 55 {
		return false
	}
	for i, c := range v {
		switch {
		case i == 2 || i == 35 || i == 52:
			if c != '-' {
				return false
			}
		case i < 2 && c != '0', (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}
