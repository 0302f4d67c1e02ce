package acceptance

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"anabranch.dev/bench/replay"
	"anabranch.dev/topology/retail/check"
)

// war is what happens to three nodes while they work.
type war struct {
	to          time.Time // of the data set
	perSecond   float64   // events loaded, 0: as fast as it goes
	nodeKills   int       // kill -9 of the leader, each after the last victim caught up
	brokerKills int
}

// Three processes on the embedded broker give what one gives.
func TestThreeNodes(t *testing.T) {
	skipShort(t, "replays invoices into three processes")
	runThree(t, startOwnKafka(t), war{to: monthOrAll()})
}

// The same on Apache Kafka, with its leaders and its broker killed.
func TestThreeNodesKilled(t *testing.T) {
	skipShort(t, "replays invoices into three processes, killed")
	w := war{to: monthOrAll(), perSecond: 400, nodeKills: 3, brokerKills: 1}
	if full() {
		w.perSecond, w.nodeKills, w.brokerKills = 250, 20, 3
	}
	runThree(t, startApache(t), w)
}

func full() bool { return os.Getenv("ANABRANCH_FULL") == "1" }

// monthOrAll ends the data set after a month, if not all of it is asked for.
func monthOrAll() time.Time {
	if full() {
		return time.Time{}
	}
	return time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC)
}

func runThree(t *testing.T, broker kafkaServer, w war) {
	script, err := replay.UCI(dataSet(t, "uci-online-retail"), replay.Options{To: w.to})
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "one")
	one := loadTopics(t, data, script)
	calm, _, calmState := runCalmly(t, data, one)
	f := startFleet(t, broker.address(), filepath.Join(data, "pseudonym.key"), ", clock: replay", nil)
	loaded := make(chan int64, 1)
	began := time.Now()
	to, at := producer(t, broker.address()), inputs(t)
	go func() { loaded <- loadAt(t, to, at, script, w.perSecond) }()
	log := newDecisions(t)
	gaps := &gaps{log: log}
	topic := gaps.tail(broker.address())
	fight(t, f, broker, w, topic, gaps, len(calm.list))
	var records int64
	topic.until("everything loaded", nil, func() bool {
		select {
		case records = <-loaded:
			return true
		default:
			return false
		}
	})
	status := f.settle(records)
	topic.toEnd()
	log.good()
	events, dead := accounted(t, &status)
	t.Logf("%d events, %d dead letters, %d decisions and releases in %.1f s; longest time without a decision %v, after a kill %v",
		events, dead, len(log.list), time.Since(began).Seconds(), gaps.longest(), gaps.afterKills())

	all := totals(t, f.nodes[0])
	letters := readLetters(t, broker.address())
	if full() {
		sameRows(t, log, all, letters)
		report(t, check.Sum("GBP", uciAmount, check.Amount{What: "ordered", Amount: all["ordered"].money(t)},
			check.Amount{What: "cancelled", Amount: -all["cancelled"].money(t)}, check.Amount{What: "returned", Amount: -all["returned"].money(t)},
			check.Amount{What: "dead-lettered", Amount: letters.amount}))
	}
	t.Logf("%d shards with rows, the same on three replicas", f.sameDigests())
	sameAs(t, calm, log)
	calmState.same(t, f.stop()[0])
}

// sameAs wants the decisions of one node in peace.
func sameAs(t *testing.T, calm, log *decisions) {
	t.Helper()
	faults := calm.differs(log)
	for _, fault := range faults[:min(len(faults), 10)] {
		t.Error(fault)
	}
	if len(faults) > 10 {
		t.Errorf("and %d more", len(faults)-10)
	}
}

// fight kills nodes and broker at random moments of the work.
func fight(t *testing.T, f *fleet, broker kafkaServer, w war, topic *tail, gaps *gaps, expected int) {
	seed := uint64(time.Now().UnixNano())
	dice := rand.New(rand.NewPCG(seed, 0))
	var moments []int
	for range w.nodeKills + w.brokerKills {
		moments = append(moments, dice.IntN(expected*9/10))
	}
	slices.Sort(moments)
	brokers := dice.Perm(len(moments))[:w.brokerKills]
	t.Logf("seed %d: kills after %v decisions, the broker at %v of them", seed, moments, brokers)
	for i, moment := range moments {
		topic.until("a decision to kill at", nil, func() bool { return len(gaps.log.list) >= moment })
		if slices.Contains(brokers, i) {
			broker.kill(t)
			broker.restart(t)
			topic.connect(broker.address())
			continue
		}
		victim := f.leader()
		f.kill(victim)
		gaps.killed()
		f.start(victim)
		f.leader()
		before := len(gaps.log.list)
		topic.until("a decision after a kill", nil, func() bool { return len(gaps.log.list) > before || len(gaps.log.list) >= expected })
		f.caughtUp(victim)
	}
}
