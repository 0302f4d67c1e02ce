package httpapi_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/httpapi"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

// record is a decision as it is watched.
func record(id string) *operators.Record {
	return &operators.Record{Topic: "allocations", Type: "allocation.decided", ID: id, Key: "W-1", Number: 1,
		Payload: state.Nested{Value: &event.AllocationDecided{Order: "W-1", Because: "two\nlines"}}}
}

// serve runs the API on a free port until the test ends.
func serve(t *testing.T, h http.Handler) (address string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- httpapi.Serve(ctx, l, h, slog.New(slog.DiscardHandler)) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { _ = stop() })
	return "http://" + l.Addr().String(), stop
}

// readUntil reads server-sent events up to a blank line after want.
func readUntil(t *testing.T, r *bufio.Reader, want string) string {
	t.Helper()
	var all strings.Builder
	for {
		line, err := r.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			t.Fatalf("feed ended (%v) before %q:\n%s", err, want, all.String())
		}
		if line == "\n" && strings.Contains(all.String(), want) {
			return all.String()
		}
	}
}

func TestLive(t *testing.T) {
	f := &fake{watch: make(chan connectors.Watched, 4)}
	address, stop := serve(t, newHandler(t, f, nil))
	resp, err := http.Get(address + "/v1/live?types=allocation.decided")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatalf("content type = %q", ct)
	}
	other := record("d-0")
	other.Type = "stock.level"
	f.watch <- connectors.Watched{Record: other}
	f.watch <- connectors.Watched{Record: record("d-1")}
	f.watch <- connectors.Watched{Record: record("d-9"), Lost: 7}
	got := readUntil(t, bufio.NewReader(resp.Body), "id: d-9\n")
	for _, want := range []string{"id: d-1\nevent: allocation.decided\ndata: {", `"order":"W-1"`, "event: lost\ndata: {\"records\":7}\n\nid: d-9\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("feed lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "d-0") {
		t.Errorf("feed has a type that was not asked for:\n%s", got)
	}
	// An open feed must not hold the server up.
	begin := time.Now()
	if err := stop(); err != nil || time.Since(begin) > 1500*time.Millisecond {
		t.Errorf("stop = %v after %v; want at once", err, time.Since(begin))
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("feed ended with %v; want an orderly end", err)
	}
}

// The feed ends when the node stops watching.
func TestLiveEnds(t *testing.T) {
	f := &fake{watch: make(chan connectors.Watched)}
	close(f.watch)
	w := call(t, newHandler(t, f, nil), "GET", "/v1/live", "")
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "retry:") {
		t.Errorf("answer = %d: %s", w.Code, w.Body)
	}
}
