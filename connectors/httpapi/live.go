package httpapi

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	livePath = "/v1/live"
	// liveBeat is how often a silent feed shows that it is alive.
	liveBeat = 30 * time.Second
	// liveWrite is how long a reader may take over feedBatch bytes before its
	// connection is closed.
	liveWrite = time.Minute
	// liveBuffer is what the operating system may hold for one reader. By itself
	// it would take megabytes for each slow one.
	liveBuffer = 32 << 10
)

type liveInput struct {
	Types string `query:"types" maxLength:"1024" doc:"only these event types, separated by commas; empty: all" example:"allocation.decided,allocation.failed"`
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
	a.schemas.document(livePath, a.huma.OpenAPI().Paths[livePath].Get, nil, nil)
}

// live copies the feed to the client until one of them ends. The feed, not this
// goroutine, drops what a slow client has no room for.
func (a *api) live(hctx huma.Context, in *liveInput) {
	ctx := hctx.Context()
	hctx.SetHeader("Content-Type", "text/event-stream")
	hctx.SetHeader("Cache-Control", "no-store")
	hctx.SetStatus(http.StatusOK)
	boundBuffer(ctx)
	_, w := humago.Unwrap(hctx)
	out := liveWriter{w: w, control: http.NewResponseController(w)}
	// The server's limit for reading a request would end the feed. A writer
	// without deadlines (in tests) is not worth an error, here and below.
	_ = out.control.SetReadDeadline(time.Time{})
	feed, place := a.feeds.join(liveTypes(in.Types))
	defer a.feeds.leave(feed, place)
	if !out.send([]byte("retry: 1000\n: live\n\n")) {
		return
	}
	stop, _ := ctx.Value(stopping{}).(<-chan struct{}) // nil, and never ready, without Serve
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-stop:
			return
		case <-feed.over:
			out.drain(feed, place)
			return
		case <-beat.C:
			if !out.send([]byte(": alive\n\n")) {
				return
			}
		case <-place.wake:
			if !out.drain(feed, place) {
				return
			}
		}
	}
}

// liveWriter writes server-sent events.
type liveWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// send writes texts and says whether the client is still there.
func (o *liveWriter) send(texts ...[]byte) bool {
	_ = o.control.SetWriteDeadline(time.Now().Add(liveWrite))
	for _, text := range texts {
		if _, err := o.w.Write(text); err != nil {
			return false
		}
	}
	return o.control.Flush() == nil
}

// drain writes what there is for a reader.
func (o *liveWriter) drain(f *feed, place *reader) bool {
	for more := true; more; {
		var texts [][]byte
		if texts, more = f.take(place); len(texts) > 0 && !o.send(texts...) {
			return false
		}
	}
	return true
}

// boundBuffer keeps the operating system from holding much for a request's
// client. Where the connection is not known it does nothing.
func boundBuffer(ctx context.Context) {
	conn, _ := ctx.Value(connection{}).(net.Conn)
	if tls, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = tls.NetConn()
	}
	if c, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = c.SetWriteBuffer(liveBuffer) // a connection that is gone ends the feed by itself
	}
}

// liveTypes reads a list of types separated by commas; none means all.
func liveTypes(list string) (types []string) {
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.TrimSpace(t); t != "" {
			types = append(types, t)
		}
	}
	return types
}
