package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/engine/node"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/pebblestate"
)

const partitions = 2

// life runs a node of two groups until both have a snapshot and log behind it,
// and returns its directory.
func life(t *testing.T) string {
	t.Helper()
	cfg := embedded.Config{}
	for _, name := range []string{"t.numbers", "t.totals", "t.dead-letters"} {
		cfg.Topics = append(cfg.Topics, embedded.Topic{Name: name, Partitions: partitions})
	}
	broker, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	n, err := node.Open(nodeConfig(t, dir, broker.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	if err := n.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	produce(t, broker.Addr(), 0, 6000, 400)
	until(t, n, "snapshots of both groups", func(g connectors.GroupStatus) bool { return g.SnapshotIndex > 0 })
	produce(t, broker.Addr(), 6000, 6100, 10)
	applied(t, n, 6100)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return dir
}

func nodeConfig(t *testing.T, dir, broker string) node.Config {
	t.Helper()
	plan, err := tally.Plan()
	if err != nil {
		t.Fatal(err)
	}
	topics := map[string]string{}
	for _, topic := range plan.Topics {
		topics[topic.Alias] = "t." + topic.Alias
	}
	words := tally.Codec{Topics: topics}
	brokers := kafka.Config{Brokers: []string{broker}}
	return node.Config{
		ID: "n1", Dir: dir, Cluster: "test", Version: "test", Peer: "127.0.0.1:0", Shards: 8, Groups: 2, Fingerprint: "f1",
		HotMemory: 4 << 20, SnapshotBytes: 1 << 20, Plan: plan, Topics: topics, Codec: codec.New(),
		OpenStore: func(o node.StoreOptions) (group.Store, error) {
			return pebblestate.Open(pebblestate.Options{Dir: o.Dir, Tables: o.Tables, Codec: codec.New(), HotBytes: o.HotMemory})
		},
		NewFetcher: func() (connectors.Fetcher, error) { return kafka.NewFetcher(brokers) },
		NewSink: func(o node.SinkOptions) (connectors.Sink, error) {
			own := brokers
			own.Cluster, own.Incarnation = o.Cluster, o.Incarnation
			return kafka.NewSink(own, o.Group, o.Groups)
		},
		Decoder: words, Encoder: words, Log: slog.New(slog.DiscardHandler),
	}
}

// produce sends numbers for names that are so long.
func produce(t *testing.T, broker string, from, to, length int) {
	t.Helper()
	p, err := kafka.NewProducer(kafka.Config{Brokers: []string{broker}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := from; i < to; i++ {
		name := fmt.Sprintf("%0*d", length, i%500)
		if err := p.Produce(t.Context(), connectors.OutRecord{Topic: "t.numbers", Value: tally.Line(fmt.Sprint("k", i), name, 1)}, int32(i%partitions)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// until waits until a condition holds of every group.
func until(t *testing.T, n *node.Node, what string, cond func(g connectors.GroupStatus) bool) {
	t.Helper()
	wait(t, n, what, func(s connectors.Status) bool {
		for _, g := range s.Groups {
			if !cond(g) {
				return false
			}
		}
		return len(s.Groups) == 2
	})
}

func applied(t *testing.T, n *node.Node, events int64) {
	t.Helper()
	wait(t, n, "events applied and delivered", func(s connectors.Status) bool {
		var sum int64
		for _, in := range s.Inputs {
			sum += in.Applied
		}
		return sum >= events && s.Groups[0].OutboxRecords == 0
	})
}

func wait(t *testing.T, n *node.Node, what string, cond func(s connectors.Status) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var s connectors.Status
	for {
		var err error
		if s, err = n.Status(ctx); err == nil && cond(s) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within 30 s: %+v, %v", what, s, err)
		}
	}
}

func verifyConfig(t *testing.T) Config {
	t.Helper()
	plan, err := tally.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return Config{Plan: plan, Codec: codec.New(),
		Invariants: func(r state.Reader, shards []state.Shard, broken func(place, what string)) error {
			for _, shard := range shards {
				err := r.Rows(shard, func(id state.CellID, table *state.Table, row string, v state.Visitable) bool {
					if total, ok := v.(*tally.Total); ok && total.Sum <= 0 {
						broken(id.Key, fmt.Sprintf("the sum is %d", total.Sum))
					}
					return true
				})
				if err != nil {
					return err
				}
			}
			return nil
		}}
}

// fingerprint tells whether anything in a directory has changed.
func fingerprint(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	each(t, dir, func(path string, d fs.DirEntry) error {
		info, err := d.Info()
		if err == nil {
			sums[path] = fmt.Sprint(info.Size(), info.ModTime(), info.Mode())
		}
		return err
	})
	return sums
}

// contents are the hashes of all files in a directory.
func contents(t *testing.T, dir string) map[string]uint64 {
	t.Helper()
	sums := map[string]uint64{}
	each(t, dir, func(path string, d fs.DirEntry) error {
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		sums[path] = xxh3.Hash(b)
		return err
	})
	return sums
}

func each(t *testing.T, dir string, fn func(path string, d fs.DirEntry) error) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return fn(path, d)
	}); err != nil {
		t.Fatal(err)
	}
}

// copyDir copies a directory, with links: files are not changed in place.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	each(t, from, func(path string, d fs.DirEntry) error {
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.Mkdir(at, 0o755)
		}
		return os.Link(path, at)
	})
	return to
}

// one is the one file, or the last of several, that matches.
func one(t *testing.T, pattern ...string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil || len(list) == 0 {
		t.Fatalf("files %v = %v, %v", pattern, list, err)
	}
	return list[len(list)-1]
}

// alter changes a file's bytes.
func alter(t *testing.T, path string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, path, change(b))
}

// replaceFile puts another file in a file's place, which may be linked.
func replaceFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := errors.Join(os.Remove(path), os.WriteFile(path, b, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// flip turns a bit.
func flip(at int) func(b []byte) []byte {
	return func(b []byte) []byte { b[at] ^= 4; return b }
}

// flipBehind turns a bit in what follows each place where a file holds a text.
func flipBehind(t *testing.T, text string) func(b []byte) []byte {
	return func(b []byte) []byte {
		places := 0
		for at := 0; ; places++ {
			next := bytes.Index(b[at:], []byte(text))
			if next < 0 {
				break
			}
			at += next + len(text)
			b[at+7] ^= 4
		}
		if places == 0 {
			t.Fatalf("the file does not hold %q", text)
		}
		return b
	}
}

// flipIn turns a bit in the middle of a text that a file holds.
func flipIn(t *testing.T, text string) func(b []byte) []byte {
	return func(b []byte) []byte {
		at := strings.LastIndex(string(b), text)
		if at < 0 {
			t.Fatalf("the file does not hold %q", text)
		}
		b[at+len(text)/2] ^= 4
		return b
	}
}
