package acceptance

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"anabranch.dev/bench/replay"
	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/internal/assembly"
)

// kills is how often the process is killed.
const kills = 5

// The same topics are run twice, once in peace and once with kill -9 of node
// and broker at random moments: the state and the decisions are the same.
func TestKill(t *testing.T) {
	skipShort(t, "replays a month of invoices twice")
	opts := replay.Options{To: time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC)}
	if os.Getenv("ANABRANCH_FULL") == "1" {
		opts.To = time.Time{}
	}
	script, err := replay.UCI(dataSet(t, "uci-online-retail"), opts)
	if err != nil {
		t.Fatal(err)
	}
	loaded := filepath.Join(t.TempDir(), "loaded")
	records := loadTopics(t, loaded, script)
	peace, war := filepath.Join(t.TempDir(), "peace"), filepath.Join(t.TempDir(), "war")
	for _, dir := range []string{peace, war} {
		// A copy is readable by all; the key may not be.
		if err := errors.Join(os.CopyFS(dir, os.DirFS(loaded)), os.Chmod(filepath.Join(dir, "pseudonym.key"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}

	began := time.Now()
	calm, calmStatus, calmState := runCalmly(t, peace, records)
	t.Logf("%d events in peace: %d decisions and releases in %.1f s", len(script.Events), len(calm.list), time.Since(began).Seconds())
	began = time.Now()
	killed, killedStatus, killedState := runAndKill(t, war, records, len(calm.list))
	t.Logf("with %d kills: %.1f s", kills, time.Since(began).Seconds())

	for i, faults := 0, calm.differs(killed); i < len(faults); i++ {
		if t.Errorf("%s", faults[i]); i == 10 {
			t.Fatalf("and %d more", len(faults)-i)
		}
	}
	if len(calmStatus.Inputs) != len(killedStatus.Inputs) {
		t.Fatalf("inputs = %d and %d", len(calmStatus.Inputs), len(killedStatus.Inputs))
	}
	for i, in := range calmStatus.Inputs {
		// What is known of the topic's end is not of interest.
		if got := killedStatus.Inputs[i]; got.Next != in.Next || got.Events != in.Events || got.Applied != in.Applied {
			t.Errorf("input %+v; want %+v", got, in)
		}
	}
	calmState.same(t, killedState)
}

// loadTopics makes a data directory whose broker holds a script, and returns
// how many records that is.
func loadTopics(t *testing.T, data string, s *replay.Script) (records int64) {
	t.Helper()
	dir, err := assembly.OpenDataDir(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	broker := process.Start(t, "kafka", "--data", dir.Broker(), "--port", "0")
	address := broker.Wait(`Kafka on ([0-9.:]+)`)
	records = load(t, address, s)
	if code := broker.Interrupt(); code != 0 {
		t.Fatalf("kafka = %d: %s", code, broker.Output())
	}
	return records
}

func runCalmly(t *testing.T, data string, records int64) (*decisions, process.Status, *stopped) {
	t.Helper()
	d := process.StartDev(t, "--clock", "replay", "--no-sample", "--quiet", "--data", data)
	status := settle(t, d, records)
	accounted(t, &status)
	log := newDecisions(t)
	log.tail(d.Kafka).toEnd()
	log.good()
	return log, status, stop(t, d, data)
}

// runAndKill kills the process whenever as many records are on the topic as its
// dice say. expected is how many there will be.
func runAndKill(t *testing.T, data string, records int64, expected int) (*decisions, process.Status, *stopped) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	dice := rand.New(rand.NewPCG(seed, 0))
	var moments []int
	for range kills {
		moments = append(moments, dice.IntN(expected*9/10))
	}
	slices.Sort(moments)
	t.Logf("seed %d: to be killed after %v decisions", seed, moments)

	log := newDecisions(t)
	var topic *tail
	var at []int
	for _, moment := range moments {
		d := process.StartDev(t, "--clock", "replay", "--no-sample", "--quiet", "--data", data)
		if topic == nil {
			topic = log.tail(d.Kafka)
		} else {
			topic.connect(d.Kafka)
		}
		topic.until("a decision to be killed at", d.Done(), func() bool { return len(log.list) >= moment })
		d.Kill()
		at = append(at, len(log.list))
	}
	t.Logf("killed when %v of %d decisions were read", at, expected)
	d := process.StartDev(t, "--clock", "replay", "--no-sample", "--quiet", "--data", data)
	status := settle(t, d, records)
	accounted(t, &status)
	if at[0] == expected {
		t.Error("everything was done before the first kill")
	}
	topic.connect(d.Kafka)
	topic.toEnd()
	log.good()
	return log, status, stop(t, d, data)
}
