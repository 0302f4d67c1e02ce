package embedded

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// places are where a transaction of these tests writes.
var places = []struct {
	topic     string
	partition int32
}{{"out", 0}, {"out", 1}, {"progress", 0}}

func placeDir(dir string, i int) string {
	return filepath.Join(dir, "partitions", fmt.Sprintf("%s-%d", places[i].topic, places[i].partition))
}

// sizes of the files a transaction appends to.
type sizes struct {
	dat, idx [3]int64
	pids     int64
}

func measure(t *testing.T, dir string) (s sizes) {
	t.Helper()
	for i := range places {
		s.dat[i] = int64(len(read(t, filepath.Join(placeDir(dir, i), "0.dat"))))
		s.idx[i] = int64(len(read(t, filepath.Join(placeDir(dir, i), "0.idx"))))
	}
	s.pids = int64(len(read(t, filepath.Join(dir, pidsFile))))
	return s
}

func cut(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// transact writes a value to every place and ends as told.
func transact(t *testing.T, c *kgo.Client, value string, end ...kgo.TransactionEndTry) {
	t.Helper()
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, p := range places {
		produce(t, c, p.topic, p.partition, value)
	}
	for _, e := range end {
		if err := c.EndTransaction(patient(t), e); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACommitIsWholeOrNot dies at every point of a commit: any of the markers
// written, torn or missing, with or without its index entry.
func TestACommitIsWholeOrNot(t *testing.T) {
	dir := t.TempDir()
	topics := []Topic{{Name: "out", Partitions: 2}, {Name: "progress", Partitions: 1, Compacted: true}}
	b := startBroker(t, Config{DataDir: dir, Topics: topics})
	c := connect(t, b, kgo.TransactionalID("t"))
	transact(t, c, "first", kgo.TryCommit)
	transact(t, c, "undone", kgo.TryAbort)
	transact(t, c, "second")
	before := measure(t, dir) // all records, no marker
	if err := c.EndTransaction(patient(t), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	after := measure(t, dir)

	const missing, torn, unindexed, whole = 0, 1, 2, 3
	for mask := range 32 {
		states := [3]int{mask & 3, mask >> 2 & 3, mask >> 4 * whole}
		crashed := copyDir(t, dir)
		commit := false
		for i, state := range states {
			dat, idx := filepath.Join(placeDir(crashed, i), "0.dat"), filepath.Join(placeDir(crashed, i), "0.idx")
			switch state {
			case missing:
				cut(t, dat, before.dat[i])
				cut(t, idx, before.idx[i])
			case torn:
				cut(t, dat, (before.dat[i]+after.dat[i])/2)
				cut(t, idx, before.idx[i])
			case unindexed:
				cut(t, idx, before.idx[i])
			}
			commit = commit || state >= unindexed
		}
		cut(t, filepath.Join(crashed, pidsFile), before.pids+int64(mask%3)*7) // torn too
		want := []string{"first"}
		if commit {
			want = append(want, "second")
		}
		starts := 1
		if mask%8 < 2 {
			starts = 2
		}
		checkRecovered(t, fmt.Sprintf("markers %v", states), crashed, want, starts)
	}
}

// checkRecovered opens a crashed directory, and writes with the transactional id
// that was in use before it opens it again.
func checkRecovered(t *testing.T, what, dir string, want []string, starts int) {
	t.Helper()
	for round := range starts {
		b, err := Start(Config{DataDir: dir})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for _, p := range places {
			if got := committed(t, b, p.topic, p.partition); !slices.Equal(got, want) {
				t.Errorf("%s, start %d: %s partition %d = %v; want %v", what, round+1, p.topic, p.partition, got, want)
			}
		}
		if round == 0 {
			c := connect(t, b, kgo.TransactionalID("t"))
			transact(t, c, "later", kgo.TryCommit)
			c.Close()
			want = append(want, "later")
		}
		if err := b.Close(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// TestAProducerCannotGoOnInATransactionThatEnded: it would commit its second half.
func TestAProducerCannotGoOnInATransactionThatEnded(t *testing.T) {
	for name, stop := range map[string]func(b *Broker, dir string) string{
		"crash": func(_ *Broker, dir string) string { return copyDir(t, dir) },
		"close": func(b *Broker, dir string) string { _ = b.Close(); return dir },
	} {
		cfg := Config{DataDir: t.TempDir(), Topics: []Topic{{Name: "out", Partitions: 2}, {Name: "progress", Partitions: 1}}}
		b := startBroker(t, cfg)
		c := connect(t, b, kgo.TransactionalID("t"), kgo.RecordRetries(3))
		transact(t, c, "half")
		cfg.DataDir = stop(b, cfg.DataDir)
		_ = b.Close()
		cfg.Port = b.Port()
		b = startBroker(t, cfg)
		if b.PortTaken() {
			t.Skipf("port %d was taken meanwhile", cfg.Port)
		}
		err := c.ProduceSync(patient(t), &kgo.Record{Topic: "out", Value: []byte("other half")}).FirstErr()
		if end := c.EndTransaction(patient(t), kgo.TryCommit); err == nil && end == nil {
			t.Errorf("%s: a transaction went on over it", name)
		}
		connect(t, b, kgo.TransactionalID("t")).Close()
		fresh := connect(t, b, kgo.TransactionalID("t"))
		transact(t, fresh, "whole", kgo.TryCommit)
		if got := committed(t, b, "out", 0); !slices.Equal(got, []string{"whole"}) {
			t.Errorf("%s: records = %v; want [whole]", name, got)
		}
	}
}

// TestAnAcknowledgedCommitSurvivesAKill kills a process that runs the broker, at
// any moment, and looks for what it had told.
func TestAnAcknowledgedCommitSurvivesAKill(t *testing.T) {
	if dir := os.Getenv("EMBEDDED_TEST_KILL_ME"); dir != "" {
		commitForEver(t, dir)
		return
	}
	dir := t.TempDir()
	var told []string
	for round := range 4 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestAnAcknowledgedCommitSurvivesAKill$", "-test.v")
		cmd.Env = append(os.Environ(), "EMBEDDED_TEST_KILL_ME="+dir, fmt.Sprintf("EMBEDDED_TEST_ROUND=%d", round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 20+7*round && lines.Scan(); {
			if value, ok := strings.CutPrefix(lines.Text(), "committed "); ok {
				told = append(told, value)
				n++
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it still told before it died
			if value, ok := strings.CutPrefix(lines.Text(), "committed "); ok {
				told = append(told, value)
			}
		}
		_ = cmd.Wait() // killed, by us
	}
	b := startBroker(t, Config{DataDir: dir})
	var first []string
	for i, p := range places {
		got := committed(t, b, p.topic, p.partition)
		if i == 0 {
			first = got
		}
		if !slices.Equal(got, first) {
			t.Errorf("%s partition %d has %d transactions, %s partition %d has %d; want the same ones", p.topic, p.partition, len(got), places[0].topic, places[0].partition, len(first))
		}
	}
	if len(told) < 80 {
		t.Errorf("%d commits were told; want at least 80", len(told))
	}
	for _, value := range told {
		if !slices.Contains(first, value) {
			t.Errorf("transaction %s was acknowledged and is lost", value)
		}
	}
	seen := slices.Clone(first)
	slices.Sort(seen)
	if len(slices.Compact(seen)) != len(first) {
		t.Errorf("a transaction is there twice: %v", first)
	}
}

// commitForEver tells on standard output what has been committed.
func commitForEver(t *testing.T, dir string) {
	b := startBroker(t, Config{DataDir: dir, Topics: []Topic{{Name: "out", Partitions: 2}, {Name: "progress", Partitions: 1}}})
	c := connect(t, b, kgo.TransactionalID("t"))
	for i := 0; ; i++ {
		value := fmt.Sprintf("%s.%d", os.Getenv("EMBEDDED_TEST_ROUND"), i)
		transact(t, c, value, kgo.TryCommit)
		fmt.Println("committed " + value)
	}
}
