package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func startBroker(t testing.TB, cfg Config) *Broker {
	t.Helper()
	b, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func connect(t testing.TB, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.MetadataMinAge(10 * time.Millisecond), kgo.DisableClientMetrics(),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func produce(t testing.TB, c *kgo.Client, topic string, partition int32, values ...string) {
	t.Helper()
	for _, v := range values {
		r := &kgo.Record{Topic: topic, Partition: partition, Value: []byte(v)}
		if err := c.ProduceSync(patient(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// committed reads a partition read_committed. It reads up to the last stable
// offset, which must be the end: nothing may be undecided.
func committed(t testing.TB, b *Broker, topic string, partition int32) (values []string) {
	t.Helper()
	c := connect(t, b)
	defer c.Close()
	adm, ctx := kadm.NewClient(c), patient(t)
	stable, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := stable.Lookup(topic, partition)
	if e, _ := ends.Lookup(topic, partition); e.Offset != o.Offset {
		t.Errorf("%s partition %d: stable to %d, ends at %d; want nothing undecided", topic, partition, o.Offset, e.Offset)
	}
	reader := connect(t, b, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(0)}}))
	defer reader.Close()
	for next := int64(0); next < o.Offset; {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				values = append(values, string(r.Value))
			}
		})
	}
	return values
}

func TestKeepsEverythingOverARestart(t *testing.T) {
	cfg := Config{DataDir: filepath.Join(t.TempDir(), "broker"), Topics: []Topic{{Name: "in", Partitions: 3}, {Name: "levels", Partitions: 1, Compacted: true}}}
	b := startBroker(t, cfg)
	c := connect(t, b)
	produce(t, c, "in", 2, "a", "b")
	produce(t, c, "levels", 0, "x", "y")
	id := b.Cluster().TopicInfo("in").TopicID
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = startBroker(t, cfg)
	if again := b.Cluster().TopicInfo("in"); again.TopicID != id || len(b.Cluster().PartitionInfos("in")) != 3 {
		t.Errorf("topic after the restart = %+v; want id %x and 3 partitions", again, id)
	}
	if got := committed(t, b, "in", 2); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("records = %v; want [a b]", got)
	}
	b.Cluster().Compact()
	if got := committed(t, b, "levels", 0); len(got) == 0 || got[len(got)-1] != "y" {
		t.Errorf("records of a compacted topic = %v; want y last", got)
	}
}

func TestTakesTheNextFreePort(t *testing.T) {
	first := startBroker(t, Config{})
	second := startBroker(t, Config{Port: first.Port()})
	if second.Port() <= first.Port() || !second.PortTaken() {
		t.Errorf("port %d, taken %v; want one after %d", second.Port(), second.PortTaken(), first.Port())
	}
	if first.PortTaken() {
		t.Error("any port was asked for and PortTaken() = true")
	}
	addr := second.Addr()
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Errorf("%s answers after Close", addr)
	}
	if err := second.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestRefusesADirectoryThatIsNotItsOwn(t *testing.T) {
	used := t.TempDir()
	startBroker(t, Config{DataDir: used})

	foreign := t.TempDir()
	write(t, filepath.Join(foreign, "holiday.jpg"), []byte("x"))
	garbled := t.TempDir()
	write(t, filepath.Join(garbled, metaFile), []byte("{"))
	other := t.TempDir()
	write(t, filepath.Join(other, metaFile), []byte(`{"name":"x"}`))
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)

	for _, c := range []struct {
		dir  string
		want error
	}{{used, ErrLocked}, {foreign, ErrForeign}, {garbled, ErrForeign}, {other, ErrForeign}, {file, nil}} {
		b, err := Start(Config{DataDir: c.dir})
		if err == nil {
			_ = b.Close()
		}
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.dir) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Start(%s): %v; want %v in one line with the path", c.dir, err, c.want)
		}
	}
}

func TestRefusesADamagedFile(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, Config{DataDir: dir, Topics: []Topic{{Name: "in", Partitions: 1}}})
	produce(t, connect(t, b), "in", 0, "a", "b", "c")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "partitions", "in-0", "0.dat")
	raw := read(t, path)
	raw[70] ^= 1 // inside the first of three batches
	write(t, path, raw)
	if _, err := Start(Config{DataDir: dir}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Start with a flipped bit: %v; want %v", err, ErrCorrupt)
	}
	if got := read(t, path); !slices.Equal(got, raw) {
		t.Error("the damaged file was changed")
	}
}

// A write that fails stops the broker before it answers.
func TestStopsWhenTheDiskFails(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, Config{DataDir: dir, Topics: []Topic{{Name: "in", Partitions: 2}}})
	c := connect(t, b)
	produce(t, c, "in", 0, "a")
	// No directory can be made where a file is.
	write(t, filepath.Join(dir, "partitions", "in-1"), nil)
	told := make(chan error, 1)
	c.Produce(patient(t), &kgo.Record{Topic: "in", Partition: 1, Value: []byte("b")}, func(_ *kgo.Record, err error) { told <- err })
	<-b.Failed()
	c.Close()
	if err := <-told; err == nil {
		t.Error("a record that can't be written was acknowledged")
	}
	if b.Err() == nil {
		t.Error("Err() = nil after a failed write")
	}
	if err := b.Close(); err == nil || !strings.Contains(err.Error(), "in-1") {
		t.Errorf("Close after a failed write: %v; want it to name the directory", err)
	}
	if err := os.Remove(filepath.Join(dir, "partitions", "in-1")); err != nil {
		t.Fatal(err)
	}
	b = startBroker(t, Config{DataDir: dir})
	if got := committed(t, b, "in", 0); !slices.Equal(got, []string{"a"}) {
		t.Errorf("records = %v; want [a]", got)
	}
}

func TestValidateConfig(t *testing.T) {
	cfg := Config{Port: -1, Topics: []Topic{{Partitions: 1}, {Name: "a"}, {Name: "a", Partitions: 1}}}
	err := cfg.Validate()
	for _, want := range []string{"port -1", "no name", "0 partitions", "twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %v; want it to say %q", err, want)
		}
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), fmt.Sprint(time.Now().UnixNano()))
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}
