// Package acceptance runs the whole system as processes, from Kafka to Kafka,
// and judges it by what anybody can see: its topics read committed, its API,
// its commands, exit codes and, once it is stopped, the state it leaves.
//
// tail_test.go reads topics, stopped_test.go opens what a stopped node leaves,
// steady_test.go keeps a cluster of three busy while something is done to it.
// Long tests are left out with -short. The data sets are in $ANABRANCH_DATA;
// ANABRANCH_FULL=1 runs the crash test on all of the data set.
package acceptance

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"anabranch.dev/bench/replay"
	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/cmd/anabranch/internal/settled"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/topology/retail"
)

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// long is how long a test waits for much work on a machine that has other work.
const long = 20 * time.Minute

// dataSet is where a data set is, or skips the test.
func dataSet(t *testing.T, set string) string {
	t.Helper()
	dir := os.Getenv("ANABRANCH_DATA")
	if dir == "" {
		dir = "../../../../shared/data"
	}
	path := filepath.Join(dir, set)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("data set %s is missing: set ANABRANCH_DATA", set)
		}
		t.Skipf("skipped: data set %s is not in %s (set ANABRANCH_DATA)", set, dir)
	}
	return path
}

func skipShort(t *testing.T, what string) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: " + what + "; run without -short")
	}
}

// producer writes to a broker's topics.
func producer(t *testing.T, broker string) *kafka.Producer {
	t.Helper()
	p, err := kafka.NewProducer(kafka.Config{Brokers: []string{broker}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// inputs are the input topics as BrokerTopics makes them.
func inputs(t *testing.T) replay.Target {
	t.Helper()
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	to := replay.Target{Topics: map[string]string{}, Partitions: map[string]int32{}, Marks: true}
	for _, topic := range plan.Topics {
		if topic.Input {
			to.Topics[topic.Alias] = retail.DefaultTopics()[topic.Alias]
			to.Partitions[topic.Alias] = assembly.Partitions
		}
	}
	return to
}

// load writes a script with marks to a broker and returns how many records that
// is.
func load(t *testing.T, broker string, s *replay.Script) (records int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	records, err := replay.Load(ctx, producer(t, broker), s, inputs(t), replay.Pace{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// settle waits until everything in the input topics is applied and delivered.
// records is how many the topics hold, marks included; 0: whatever the node
// has seen.
func settle(t *testing.T, d *process.Dev, records int64) process.Status {
	t.Helper()
	var s process.Status
	var watch settled.Watch
	process.Until(t, long, "inputs applied and delivered", func() bool {
		s = d.Status()
		return s.Settled(&watch, records)
	})
	return s
}
