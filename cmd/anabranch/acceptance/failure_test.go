package acceptance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/connectors"
)

// failed checks that a process has ended with exit code 1 and one line on
// stderr that says why.
func failed(t *testing.T, p *process.Process, want string) {
	t.Helper()
	code := p.End()
	var lines []string
	for line := range strings.Lines(p.Errors()) { // the broker may feel the full disk first
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, "warn: inputs wait for kafka") {
			lines = append(lines, line)
		}
	}
	errs := strings.Join(lines, "\n")
	if code != 1 || !strings.Contains(errs, want) || strings.Contains(errs, "\n") || !strings.HasPrefix(errs, "anabranch: ") {
		t.Errorf("exit code %d, stderr:\n%s\nwant 1 and one line with %q", code, errs, want)
	}
}

// trickle writes orders in small batches until a condition holds or the broker
// does not take them any more, and returns how many it has taken.
func (s *shop) trickle(ctx context.Context, from, limit int, enough func() bool) (taken int) {
	const batch = 20
	for taken = from; taken < limit && !enough(); taken += batch {
		for i := range batch {
			id := fmt.Sprintf("o-%05d", taken+i)
			if _, err := s.queue(ctx, "sales", connectors.OutRecord{Key: []byte(id), Value: []byte(order(id, 1))}); err != nil {
				return taken
			}
		}
		if err := s.producer.Flush(ctx); err != nil {
			return taken
		}
	}
	return taken
}

// untilEnd is a context that ends with a process.
func untilEnd(t *testing.T, p *process.Process) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), long)
	go func() {
		defer cancel()
		select {
		case <-p.Done():
		case <-ctx.Done():
		}
	}()
	t.Cleanup(cancel)
	return ctx
}

// ordersDecided waits until so many orders have their decision on the topic,
// every one once.
func ordersDecided(t *testing.T, topic *tail, log *decisions, end <-chan struct{}, orders int) {
	t.Helper()
	topic.until(fmt.Sprintf("%d orders decided", orders), end, func() bool { return log.out.Orders() >= orders })
	topic.toEnd()
	log.good()
}

// A full disk ends the process with one line. With room again, every order that
// the broker took is decided, once.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("anabranch-test", disk, "tmpfs", 0, "size=384m"); err != nil {
		t.Skipf("skipped: mounting a small disk needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	data := filepath.Join(disk, "data")
	d := process.StartDev(t, "--no-sample", "--quiet", "--data", data)
	s := newShop(t, d.Kafka)
	s.opening(1_000_000)
	settle(t, d, s.sent())
	ctx := untilEnd(t, d.Process)
	log := newDecisions(t)
	topic := log.tail(d.Kafka)
	before := s.trickle(ctx, 0, 100, func() bool { return false })
	ordersDecided(t, topic, log, d.Done(), before)

	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast, 1<<20)
	taken := s.trickle(ctx, before, 1_000_000, func() bool { return false })
	t.Logf("the disk was full after %d orders more", taken-before)
	failed(t, d.Process, "no space left on device")

	fill(t, ballast, 0)
	failed(t, process.Start(t, "dev", "--http", "127.0.0.1:0", "--no-sample", "--data", data), "no space left on device")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	d = process.StartDev(t, "--no-sample", "--quiet", "--data", data)
	topic.connect(d.Kafka)
	ordersDecided(t, topic, log, d.Done(), taken)
	stop(t, d, data)
}

// fill takes what is left of a disk but for some bytes.
func fill(t *testing.T, path string, leave int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<16); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size - min(leave, size)); err != nil {
		t.Fatal(err)
	}
}

// A broker of its own that is killed and comes back: the node waits, then goes
// on, and no decision is lost or doubled.
func TestBrokerKilled(t *testing.T) {
	skipShort(t, "restarts a broker under load")
	data, port := t.TempDir(), strconv.Itoa(process.FreePort(t))
	start := func() (*process.Process, string) {
		broker := process.Start(t, "kafka", "--data", data, "--port", port)
		return broker, broker.Wait(`Kafka on ([0-9.:]+),`) // at another port the node would not find it
	}
	broker, address := start()
	d := process.StartDev(t, "--no-sample", "--quiet", "--kafka", address)
	s := newShop(t, address)
	s.opening(1_000_000)
	settle(t, d, s.sent())
	log := newDecisions(t)
	topic := log.tail(address)

	orders := 0
	for i := range 3 {
		// Killed while orders and decisions are on their way.
		killed := broker
		taken := make(chan int)
		go func() {
			taken <- s.trickle(untilEnd(t, killed), orders, orders+100_000, func() bool { return false })
		}()
		topic.until("decisions", d.Done(), func() bool { return log.out.Orders() >= orders+50*(i+1) })
		broker.Kill()
		orders = <-taken
		broker, address = start()
		s = newShop(t, address)
		topic.connect(address)
		// What was on its way may have been taken or not: it is sent again, and
		// is known by its id.
		orders = s.trickle(untilEnd(t, broker), orders, orders+20, func() bool { return false })
	}
	ordersDecided(t, topic, log, d.Done(), orders)
	if n := log.out.Orders(); n != orders {
		t.Errorf("orders decided = %d; want %d", n, orders)
	}
	interrupt(t, d)
}

// A data directory with a damaged or missing file is refused with one line that
// names it, and works again with the file put back.
func TestDamagedDirectory(t *testing.T) {
	skipShort(t, "damages a data directory in many ways")
	data := filepath.Join(t.TempDir(), "data")
	d := process.StartDev(t, "--no-sample", "--quiet", "--data", data)
	s := newShop(t, d.Kafka)
	s.opening(1_000)
	const orders = 20
	s.trickle(untilEnd(t, d.Process), 0, orders, func() bool { return false })
	log := newDecisions(t)
	topic := log.tail(d.Kafka)
	ordersDecided(t, topic, log, d.Done(), orders)
	interrupt(t, d)

	for _, pattern := range []string{"anabranch.json", "pseudonym.key", "node/node.json", "node/group-0/log/*.wal",
		"node/group-0/log/wal-meta.db", "node/group-0/state/MANIFEST-*", "node/group-0/state/*.sst", "kafka/meta.json", "kafka/topics.json"} {
		t.Run(pattern, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(data, pattern))
			if err != nil || len(files) == 0 {
				t.Fatalf("no file %s: %v", pattern, err)
			}
			good, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(files[0], damaged(good), 0o600); err != nil {
				t.Fatal(err)
			}
			failed(t, process.Start(t, "dev", "--http", "127.0.0.1:0", "--no-sample", "--data", data), data)
			if err := os.WriteFile(files[0], good, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	d = process.StartDev(t, "--no-sample", "--quiet", "--data", data)
	topic.connect(d.Kafka)
	newShop(t, d.Kafka).trickle(untilEnd(t, d.Process), orders, 2*orders, func() bool { return false })
	ordersDecided(t, topic, log, d.Done(), 2*orders)
	stop(t, d, data)
}

// damaged turns bytes over from the beginning on, in every block of a file that
// has blocks.
func damaged(good []byte) []byte {
	bad := append([]byte(nil), good...)
	for i := 0; i < len(bad); i += 3 {
		bad[i] ^= 0x5a
	}
	return bad
}
