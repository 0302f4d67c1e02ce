package acceptance

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"anabranch.dev/connectors"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/operators"
)

// crowd is how many read the live feed, and how orders come meanwhile.
type crowd struct {
	idle, slow int
	perSecond  int
	round      time.Duration
}

const (
	leastRounds   = 2
	mostRounds    = 6
	readersEnv    = "ANABRANCH_TEST_READERS" // set in a process of readers: URL idle slow
	feedSlack     = 5 * time.Millisecond     // of a machine that has other work
	mostPerReader = 96 << 10
)

// Readers of the live feed, idle and slow, don't keep orders waiting, and cost
// little memory. ANABRANCH_FULL=1 has 10,000 idle and 100 slow ones.
func TestReadersOfTheLiveFeed(t *testing.T) {
	skipShort(t, "measures decisions with and without readers of the live feed")
	size := crowd{idle: 500, slow: 20, perSecond: 200, round: time.Second}
	if full() {
		size = crowd{idle: 10_000, slow: 100, perSecond: 500, round: 20 * time.Second}
	}
	c := startNear(t)
	c.stock()
	lead, _ := c.roles()
	made := 0
	c.decide(lead, size, &made) // warms up
	var alone, crowded time.Duration
	var perReader, lost int
	// The best of some rounds: a machine with other work has bad moments.
	for round := 0; round < mostRounds && (round < leastRounds || crowded > 2*alone+feedSlack); round++ {
		one := c.decide(lead, size, &made)
		before := memoryInUse()
		leave := readers(t, c.base[lead], size)
		perReader = (memoryInUse() - before) / (size.idle + size.slow)
		other := c.decide(lead, size, &made)
		lost += leave()
		if t.Logf("decision p99: %v alone, %v with readers", one, other); alone == 0 {
			alone, crowded = one, other
		}
		alone, crowded = min(alone, one), min(crowded, other)
	}
	t.Logf("%d orders/s, decision p99: %v alone, %v with %d idle and %d slow readers, who were told of %d lost records; %d KiB per reader",
		size.perSecond, alone, crowded, size.idle, size.slow, lost, perReader>>10)
	if crowded > 2*alone+feedSlack {
		t.Errorf("decision p99 = %v with readers of the live feed; want less than 2 x %v", crowded, alone)
	}
	if full() && lost == 0 {
		t.Error("slow readers have lost nothing: they were not slow")
	}
	if perReader > mostPerReader {
		t.Errorf("a reader costs %d KiB, want %d at most", perReader>>10, mostPerReader>>10)
	}
}

func memoryInUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}

// decide has orders come at a steady rate and returns the 99th percentile of the
// time from when each was due to its decision.
func (c *nearCluster) decide(node int, size crowd, made *int) time.Duration {
	c.t.Helper()
	var (
		mu    sync.Mutex // guards what follows
		took  []time.Duration
		fault error
		all   sync.WaitGroup
	)
	count := int(size.round.Seconds() * float64(size.perSecond))
	pace := time.NewTimer(0)
	defer pace.Stop()
	begin := time.Now()
	for i := range count {
		*made++
		e := eventOf(c.t, c.Nodes[node], *made)
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(size.perSecond))
		pace.Reset(time.Until(due))
		<-pace.C
		all.Go(func() {
			reply, err := c.Nodes[node].Submit(c.t.Context(), e, true)
			one := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			if took = append(took, one); err != nil || reply.Decision == "" {
				fault = fmt.Errorf("order not decided: %+v, %w", reply, err)
			}
		})
	}
	all.Wait()
	if fault != nil {
		c.t.Fatal(fault)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func eventOf(t *testing.T, n *assembly.Node, number int) (e operators.Event) {
	t.Helper()
	id := fmt.Sprint("crowd-", number)
	body := strings.Replace(contractOrder(id, 1), "{", fmt.Sprintf(`{"id":%q,"source":"test","type":"order.placed","time":%q,`, id, time.Now().UTC().Format(time.RFC3339Nano)), 1)
	n.Decoder.Decode("sales", &connectors.RawRecord{Value: []byte(body)}, func(one operators.Event) { e = one })
	if e.Reject != nil {
		t.Fatalf("%s: %s", body, e.Reject.Code)
	}
	return e
}

// readers starts a process that reads the live feed, since this one has not
// enough file descriptors for both ends. leave ends it and returns how many
// records the slow ones were told that they had lost.
func readers(t *testing.T, url string, size crowd) (leave func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestReaderProcess$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", readersEnv, url, size.idle, size.slow))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	lines := bufio.NewScanner(out)
	number := func(format string) (n int) {
		for lines.Scan() {
			if _, err := fmt.Sscanf(lines.Text(), format, &n); err == nil {
				return n
			}
		}
		t.Fatalf("the readers' process said nothing like %q", format)
		return 0
	}
	if n := number("open %d"); n != size.idle+size.slow {
		t.Fatalf("%d readers are open, want %d", n, size.idle+size.slow)
	}
	return func() int {
		_ = in.Close()
		lost := number("lost %d")
		cancel()
		_ = cmd.Wait() // it was killed, or has ended
		return lost
	}
}

// Not a test: the process that readers starts.
func TestReaderProcess(t *testing.T) {
	var url string
	var idle, slow int
	if _, err := fmt.Sscan(os.Getenv(readersEnv), &url, &idle, &slow); err != nil {
		t.Skip("skipped: only run by another test, with " + readersEnv)
	}
	quick, late := &http.Client{Transport: &http.Transport{}}, &http.Client{Transport: &http.Transport{DialContext: dialNarrow}}
	bodies := make([]io.Reader, idle+slow)
	var opening errgroup.Group
	opening.SetLimit(32)
	for i := range bodies {
		opening.Go(func() error {
			client, query := quick, "?types=action.offered" // of which there are none
			if i >= idle {
				client, query = late, ""
			}
			resp, err := client.Get(url + "/v1/live" + query)
			if err == nil {
				bodies[i] = resp.Body // closed with the process
			}
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		t.Fatal(err)
	}
	var lost atomic.Int64
	for i, body := range bodies {
		if i < idle {
			go func() { _, _ = io.Copy(io.Discard, body) }() // ends with the process
			continue
		}
		go slowly(body, &lost)
	}
	fmt.Println("open", len(bodies))
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Println("lost", lost.Load())
}

// dialNarrow makes a connection for which the operating system holds little:
// else it, and not the feed, would keep what a slow reader has not read.
func dialNarrow(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c, c.(*net.TCPConn).SetReadBuffer(4 << 10)
}

// slowly reads a few kilobytes per second, until the process ends.
func slowly(from io.Reader, lost *atomic.Int64) {
	var rest []byte
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for b := make([]byte, 1024); ; <-pace.C {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		rest = append(rest, b[:n]...)
		for {
			line, after, ok := bytes.Cut(rest, []byte("\n"))
			if !ok {
				break
			}
			var n int
			if _, err := fmt.Sscanf(string(line), `data: {"records":%d}`, &n); err == nil {
				lost.Add(int64(n))
			}
			rest = after
		}
	}
}
