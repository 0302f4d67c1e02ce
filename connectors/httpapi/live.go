package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"anabranch.dev/connectors"
)

const (
	livePath = "/v1/live"
	// liveBeat is how often a silent feed shows that it is alive.
	liveBeat = 10 * time.Second
	// liveWrite is how long a reader may take over one write before its
	// connection is closed.
	liveWrite = 10 * time.Second
)

type liveInput struct {
	Types string `query:"types" doc:"only these event types, separated by commas; empty: all" example:"allocation.decided,allocation.failed"`
}

func (a *api) registerLive() {
	huma.Register(a.huma, huma.Operation{Method: http.MethodGet, Path: livePath, OperationID: "live",
		Summary: "Decisions as they are replicated, as server-sent events",
		Description: "The event name is the record's type, the id its decision id, the data what goes to Kafka. " +
			"A reader that is too slow gets an event \"lost\" with {\"records\":N} in place of what it missed.",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}}}},
		func(_ context.Context, in *liveInput) (*huma.StreamResponse, error) {
			return &huma.StreamResponse{Body: func(ctx huma.Context) { a.live(ctx, in) }}, nil
		})
	a.schemas.document(a.huma.OpenAPI().Paths[livePath].Get, nil, nil)
}

// live copies the watch to the client until one of them ends. The watch, not
// this goroutine, drops what a slow client has no room for.
func (a *api) live(hctx huma.Context, in *liveInput) {
	ctx, cancel := context.WithCancel(hctx.Context())
	defer cancel()
	hctx.SetHeader("Content-Type", "text/event-stream")
	hctx.SetHeader("Cache-Control", "no-store")
	hctx.SetStatus(http.StatusOK)
	_, w := humago.Unwrap(hctx)
	control := http.NewResponseController(w)
	// The server's limit for reading a request would end the feed. A writer
	// without deadlines (in tests) is not worth an error, here and below.
	_ = control.SetReadDeadline(time.Time{})
	var buf bytes.Buffer
	send := func() bool {
		_ = control.SetWriteDeadline(time.Now().Add(liveWrite))
		_, err := w.Write(buf.Bytes())
		buf.Reset()
		return err == nil && control.Flush() == nil
	}
	buf.WriteString("retry: 1000\n: live\n\n")
	if !send() {
		return
	}
	stop, _ := ctx.Value(stopping{}).(<-chan struct{}) // nil, and never ready, without Serve
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	watch := a.cfg.Cluster.Watch(ctx)
	want := typeFilter(in.Types)
	for {
		select {
		case <-ctx.Done():
			return
		case <-stop:
			return
		case <-beat.C:
			buf.WriteString(": alive\n\n")
		case one, open := <-watch:
			if !open {
				return
			}
			a.appendLive(&buf, one, want)
			for range len(watch) { // what is there goes out in one write
				if one, open = <-watch; open {
					a.appendLive(&buf, one, want)
				}
			}
		}
		if buf.Len() > 0 && !send() {
			return
		}
	}
}

// appendLive writes one watched record as server-sent events.
func (a *api) appendLive(buf *bytes.Buffer, one connectors.Watched, want func(string) bool) {
	if one.Lost > 0 {
		buf.WriteString("event: lost\ndata: {\"records\":" + strconv.Itoa(one.Lost) + "}\n\n")
	}
	if one.Record == nil || !want(one.Record.Type) {
		return
	}
	out, err := a.cfg.Encoder.Encode(one.Record)
	if err != nil {
		// The same record stops delivery to Kafka, which the status shows.
		buf.WriteString("event: lost\ndata: {\"records\":1}\n\n")
		return
	}
	buf.WriteString("id: " + one.Record.ID + "\nevent: " + one.Record.Type + "\ndata: ")
	buf.Write(bytes.ReplaceAll(out.Value, []byte("\n"), []byte(" ")))
	buf.WriteString("\n\n")
}

// typeFilter reads a list of types separated by commas; an empty one takes all.
func typeFilter(list string) func(string) bool {
	if list == "" {
		return func(string) bool { return true }
	}
	types := strings.Split(list, ",")
	return func(t string) bool { return slices.Contains(types, t) }
}
