package node

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/internal/tally"
)

func admin(t testing.TB, broker string) *kadm.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return kadm.NewClient(c)
}

// inputState is the state of the first input whose state has a prefix.
func (r *running) inputState(prefix string) (connectors.InputStatus, bool) {
	s, err := r.Status(patient(r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, in := range s.Inputs {
		if strings.HasPrefix(in.State, prefix) {
			return in, true
		}
	}
	return connectors.InputStatus{}, false
}

// TestGap has retention delete records before they were read.
func TestGap(t *testing.T) {
	b := startBroker(t, 0, allTopics...)
	cfg := config(t, t.TempDir(), b.Addr())
	produce(t, b.Addr(), lines(0, 30)...)
	r := start(t, cfg)
	r.ready()
	expectOnce(t, b.Addr(), "a", 30)
	r.mustEnd()

	produce(t, b.Addr(), lines(30, 60)...)
	var upTo kadm.Offsets
	upTo.AddOffset("t.numbers", 0, 15, -1) // five of partition 0 are lost
	if _, err := admin(t, b.Addr()).DeleteRecords(patient(t), upTo); err != nil {
		t.Fatal(err)
	}
	r = start(t, cfg)
	r.ready()
	expectOnce(t, b.Addr(), "a", 50) // the other two partitions go on
	var in connectors.InputStatus
	eventually(t, "the stop", func() (ok bool) { in, ok = r.inputState("stopped: retention"); return ok })
	if in.Partition != 0 || in.Next != 10 || !strings.Contains(in.State, "10-14") {
		t.Errorf("stopped input is %+v; want partition 0 at 10, with 10-14 gone", in)
	}
	r.mustEnd()

	cfg.OnGap = GapSkip
	r = start(t, cfg)
	r.ready()
	expectOnce(t, b.Addr(), "a", 55)
	if n := r.applied(); n != 55 {
		t.Errorf("%d events applied; want 55", n)
	}
	r.mustEnd()
}

// TestTopicMadeAnew deletes an input topic and makes another of the same name.
func TestTopicMadeAnew(t *testing.T) {
	b := startBroker(t, 0, allTopics...)
	cfg := config(t, t.TempDir(), b.Addr())
	produce(t, b.Addr(), lines(0, 30)...)
	r := start(t, cfg)
	r.ready()
	expectOnce(t, b.Addr(), "a", 30)
	adm := admin(t, b.Addr())
	if _, err := adm.DeleteTopics(patient(t), "t.numbers"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CreateTopics(patient(t), partitions, 1, nil, "t.numbers"); err != nil {
		t.Fatal(err)
	}
	produce(t, b.Addr(), tally.Line("new", "a", 1))
	eventually(t, "the stop", func() bool {
		_, ok := r.inputState("stopped: the topic was made anew")
		return ok
	})
	r.mustEnd()

	cfg.OnGap = GapSkip
	r = start(t, cfg)
	r.ready()
	expectOnce(t, b.Addr(), "a", 31)
	r.mustEnd()
}

// TestNewPartitions finds partitions that are added while the node runs.
func TestNewPartitions(t *testing.T) {
	b := startBroker(t, 0, allTopics...)
	r := start(t, config(t, t.TempDir(), b.Addr()))
	r.ready()
	adm := admin(t, b.Addr())
	if _, err := adm.CreatePartitions(patient(t), 1, "t.numbers"); err != nil {
		t.Fatal(err)
	}
	p, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	eventually(t, "a record in the new partition", func() bool {
		return p.ProduceSync(patient(t), &kgo.Record{Topic: "t.numbers", Partition: partitions, Value: tally.Line("x", "a", 1)}).FirstErr() == nil
	})
	expectOnce(t, b.Addr(), "a", 1)
	r.mustEnd()
}
