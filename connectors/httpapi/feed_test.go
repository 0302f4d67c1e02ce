package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/httpapi"
)

// watched is a fake that hands each Watch its own channel.
type watched struct {
	fake
	mu    sync.Mutex // guards what follows
	calls []context.Context
}

func (w *watched) Watch(ctx context.Context) <-chan connectors.Watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, ctx)
	return w.watch
}

func (w *watched) open() (calls int, last context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) == 0 {
		return 0, nil
	}
	return len(w.calls), w.calls[len(w.calls)-1]
}

// follow opens a feed and waits until it is open. What a reader does not read
// stays with the operating system, of which it gets little.
func follow(t *testing.T, client *http.Client, address, types string) *bufio.Reader {
	t.Helper()
	resp, err := client.Get(address + "/v1/live?types=" + types)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	r := bufio.NewReaderSize(resp.Body, 1024)
	readUntil(t, r, ": live")
	return r
}

// tallyFeed reads until the record called last and adds up what came and what
// was lost.
func tallyFeed(t *testing.T, r *bufio.Reader, last string) (records, lost int) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("feed ended (%v) after %d records and %d lost", err, records, lost)
		}
		line = strings.TrimSuffix(line, "\n")
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			records++
			if id == last {
				return records, lost
			}
		}
		var n int
		if _, err := fmt.Sscanf(line, `data: {"records":%d}`, &n); err == nil {
			lost += n
		}
	}
}

// A reader that does not read loses records, is told exactly how many, and holds
// up neither the node nor other readers.
func TestSlowReaders(t *testing.T) {
	f := &watched{fake: fake{watch: make(chan connectors.Watched)}} // nothing waits in it
	address, _ := serve(t, newHandler(t, &f.fake, func(c *httpapi.Config) { c.Cluster = f }))
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 0}}
	const records = 30_000 // of 400 bytes: more than ring and buffers hold
	var slow []*bufio.Reader
	for range 10 {
		slow = append(slow, follow(t, client, address, "allocation.decided"))
	}
	quick := follow(t, client, address, "allocation.decided")
	done := make(chan int, 1)
	go func() {
		got, lost := tallyFeed(t, quick, "d-last")
		done <- got + lost
	}()
	for i := range records - 1 {
		one := connectors.Watched{Record: record(fmt.Sprint("d-", i))}
		if i%3 == 0 {
			one.Record.Type = "stock.level" // for nobody
		}
		select {
		case f.watch <- one:
		case <-time.After(10 * time.Second):
			t.Fatalf("record %d is not taken: slow readers hold the node up", i)
		}
	}
	f.watch <- connectors.Watched{Record: record("d-last")}
	const want = records - records/3
	if got := <-done; got != want {
		t.Errorf("the quick reader got or was told of %d records, want %d", got, want)
	}
	for i, r := range slow {
		got, lost := tallyFeed(t, r, "d-last")
		if got+lost != want || lost == 0 {
			t.Errorf("slow reader %d got %d records and was told of %d lost; want %d together, and some lost", i, got, lost, want)
		}
	}
	if calls, _ := f.open(); calls != 1 {
		t.Errorf("the readers watch the node %d times, want once for all", calls)
	}
}

// The watch ends with its last reader, and begins again with the next.
func TestFeedEndsWithItsReaders(t *testing.T) {
	f := &watched{fake: fake{watch: make(chan connectors.Watched, 1)}}
	h := newHandler(t, &f.fake, func(c *httpapi.Config) { c.Cluster = f })
	for i := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r, _ := http.NewRequestWithContext(ctx, "GET", "/v1/live", nil)
			h.ServeHTTP(quiet{}, r)
		}()
		var watch context.Context
		for calls := 0; calls <= i; calls, watch = f.open() {
			runtime.Gosched()
		}
		cancel()
		<-ended
		if watch.Err() == nil {
			t.Fatalf("feed %d has no reader any more, but still watches", i)
		}
	}
}

// quiet is a client that takes everything.
type quiet struct{}

func (quiet) Header() http.Header         { return http.Header{} }
func (quiet) Write(b []byte) (int, error) { return len(b), nil }
func (quiet) WriteHeader(int)             {}
func (quiet) Flush()                      {}
