package apachekafka

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// childEnv makes the test binary start a broker and wait to be killed.
const childEnv = "ANABRANCH_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
	}
	os.Exit(m.Run())
}

func child() {
	c, err := Start(context.Background(), Config{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(c.brokers[0].process.cmd.Process.Pid, c.Dir())
	select {}
}

func requireLong(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: starts Apache Kafka; run without -short")
	}
	Require(t)
}

func client(t *testing.T, c *Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.Addrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// Three brokers lose the one that leads a partition and go on; it comes back on
// its port with its data.
func TestKilledBrokerIsReplacedAndComesBack(t *testing.T) {
	requireLong(t)
	c := Run(t, Config{Brokers: 3})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl := client(t, c, kgo.DefaultProduceTopic("t"), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }), kgo.MetadataMinAge(50*time.Millisecond))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(ctx, 1, -1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	leader := func() (id int, inSync int) {
		details, err := adm.ListTopics(ctx, "t")
		if err != nil {
			t.Fatal(err)
		}
		p := details["t"].Partitions[0]
		return int(p.Leader), len(p.ISR)
	}
	first, inSync := leader()
	if inSync != 3 {
		t.Errorf("%d replicas are in sync; want 3", inSync)
	}
	addrs := c.Addrs()
	for i, step := range []func(){
		func() {},
		func() {
			if err := c.Kill(first); err != nil {
				t.Fatal(err)
			}
		},
		func() {
			if err := c.Restart(ctx, first); err != nil {
				t.Fatal(err)
			}
		},
	} {
		step()
		if err := cl.ProduceSync(ctx, kgo.StringRecord(strconv.Itoa(i))).FirstErr(); err != nil {
			t.Fatalf("produce %d: %v", i, err)
		}
	}
	if now, inSync := leader(); now == first || inSync != 3 {
		t.Errorf("leader %d with %d in sync; want another than %d, and 3", now, inSync, first)
	}
	if got := c.Addrs(); strings.Join(got, ",") != strings.Join(addrs, ",") {
		t.Errorf("addresses = %v; want those of before, %v", got, addrs)
	}
	reader := client(t, c, kgo.ConsumeTopics("t"))
	for i := 0; i < 3; {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if string(r.Value) != strconv.Itoa(i) {
				t.Fatalf("record %d = %s", i, r.Value)
			}
			i++
		}
	}
}

// A folder is kept, and gone on with.
func TestFolderIsKept(t *testing.T) {
	requireLong(t)
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 2 {
		c := Run(t, Config{Dir: dir})
		if _, err := kadm.NewClient(client(t, c)).CreateTopic(ctx, 1, -1, nil, fmt.Sprint("t", i)); err != nil {
			t.Fatal(err)
		}
		topics, err := kadm.NewClient(client(t, c)).ListTopics(ctx)
		if err != nil || len(topics) != i+1 {
			t.Errorf("topics of start %d = %v, %v; want %d", i+1, topics.Names(), err, i+1)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := Start(ctx, Config{Dir: dir, Brokers: 3}); err == nil {
		t.Errorf("three brokers started on the folder of one: %v", c.Close())
	}
}

// A broker does not outlive a process that is killed.
func TestBrokerDiesWithItsParent(t *testing.T) {
	requireLong(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Kill()
	if err != nil && err != io.EOF {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	var pid int
	var dir string
	if _, err := fmt.Sscan(line, &pid, &dir); err != nil {
		t.Fatalf("the child printed %q: %v", line, err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for timeout := time.After(10 * time.Second); alive(pid); {
		select {
		case <-again.C:
		case <-timeout:
			t.Fatalf("broker process %d outlives its parent", pid)
		}
	}
}

// alive says whether a process runs; one that nobody has waited for doesn't.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
	return !strings.HasPrefix(strings.TrimSpace(rest), "Z")
}

// Processes that want the jars at once share one download.
func TestLibraryIsFetchedOnce(t *testing.T) {
	bin := t.TempDir()
	count := filepath.Join(bin, "count")
	script := "#!/bin/sh\necho x >> " + count + "\nfor a; do case $a in -DoutputDirectory=*) d=${a#*=};; esac; done\nmkdir -p $d\n"
	for _, name := range needed {
		script += "touch $d/" + name + ".jar\n"
	}
	if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	lib := filepath.Join(t.TempDir(), "deep", "lib")
	t.Setenv(libraryEnv, lib)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if dir, err := Library(t.Context()); err != nil || dir != lib {
				t.Errorf("Library() = %s, %v; want %s", dir, err, lib)
			}
		})
	}
	all.Wait()
	if text, err := os.ReadFile(count); err != nil || string(text) != "x\n" {
		t.Errorf("mvn ran for %q, %v; want once", text, err)
	}
	left, err := os.ReadDir(filepath.Dir(lib))
	if err != nil || len(left) != 2 {
		t.Errorf("beside the jars = %v, %v; want the lock alone", left, err)
	}
}

func TestMissingPrograms(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv(libraryEnv, filepath.Join(t.TempDir(), "lib"))
	if _, err := Start(t.Context(), Config{}); !errors.Is(err, ErrMissing) {
		t.Errorf("Start without Java: %v; want %v", err, ErrMissing)
	}
	if _, err := Library(t.Context()); !errors.Is(err, ErrMissing) {
		t.Errorf("Library without Maven: %v; want %v", err, ErrMissing)
	}
}

func TestConfigValidate(t *testing.T) {
	for _, c := range []Config{{Brokers: 2}, {Port: -1}, {Port: 65534}} {
		if err := c.Validate(); err == nil {
			t.Errorf("Validate(%+v) = nil; want a fault", c)
		}
	}
}
