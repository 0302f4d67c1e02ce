package acceptance

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/connectors"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
	"anabranch.dev/topology/retail/check"
)

// Facts of the data set.
const (
	uciRows     = 431_673
	uciInvoices = 21_423
	uciOrders   = 16_371
	uciAmount   = state.Decimal(7_852_323_674_000)
)

// The whole data set of invoices goes in, and every row, pound and order comes
// out, once; a second time nothing changes.
func TestUCI(t *testing.T) {
	skipShort(t, "replays 431,673 lines twice")
	path := dataSet(t, "uci-online-retail")
	data := filepath.Join(t.TempDir(), "data")
	d := process.StartDev(t, "--clock", "replay", "--no-sample", "--quiet", "--data", data)

	began := time.Now()
	if code, out := replayUCI(t, d, path); code != 0 {
		t.Fatalf("replay = %d: %s", code, out)
	}
	t.Logf("replayed in %.1f s", time.Since(began).Seconds())
	first := d.Status()
	events, dead := accounted(t, &first)
	t.Logf("%d events, %d dead letters", events, dead)

	log := newDecisions(t)
	topic := log.tail(d.Kafka)
	topic.toEnd()
	log.good()
	if n := log.out.Orders(); n != uciOrders {
		t.Errorf("orders decided on the topic = %d; want %d", n, uciOrders)
	}
	all := totals(t, d.Node)
	letters := readLetters(t, d.Kafka)
	sameRows(t, log, all, letters)
	if n := invoices(t, d.Kafka); n != uciInvoices {
		t.Errorf("invoices in the inputs = %d; want %d", n, uciInvoices)
	}
	report(t, check.Sum("GBP", uciAmount, check.Amount{What: "ordered", Amount: all["ordered"].money(t)},
		check.Amount{What: "cancelled", Amount: -all["cancelled"].money(t)}, check.Amount{What: "returned", Amount: -all["returned"].money(t)},
		check.Amount{What: "dead-lettered", Amount: letters.amount}))

	before := stop(t, d, data)
	t.Logf("%d rows of operators at index %d", before.rows, before.index)

	d = process.StartDev(t, "--clock", "replay", "--no-sample", "--quiet", "--data", data)
	topic.connect(d.Kafka)
	began = time.Now()
	if code, out := replayUCI(t, d, path); code != 0 {
		t.Fatalf("second replay = %d: %s", code, out)
	}
	t.Logf("replayed again in %.1f s", time.Since(began).Seconds())
	second := d.Status()
	if again, _ := accounted(t, &second); again != 2*events {
		t.Errorf("events after the second replay = %d; want %d", again, 2*events)
	}
	for i, in := range second.Inputs {
		// Facts are never too old: said again, they are true again.
		if in.Topic != "reference" && in.Applied != first.Inputs[i].Applied {
			t.Errorf("%s/%d: applied after the second replay = %d; want %d as before", in.Topic, in.Partition, in.Applied, first.Inputs[i].Applied)
		}
	}
	seen := len(log.list)
	topic.toEnd()
	log.good()
	if n := len(log.list) - seen; n != 0 {
		t.Errorf("the second replay brought %d new records on the topic", n)
	}
	if again := totals(t, d.Node); fmt.Sprint(again) != fmt.Sprint(all) {
		t.Errorf("totals after the second replay = %v; want %v", again, all)
	}
	before.same(t, stop(t, d, data))
}

// replayUCI runs the command.
func replayUCI(t *testing.T, d *process.Dev, path string, args ...string) (int, string) {
	t.Helper()
	p := process.Start(t, append([]string{"replay", "uci-online-retail", path, "--kafka", d.Kafka, "--addr", d.HTTP}, args...)...)
	p.Explain = d.Explain
	code := p.EndWithin(long)
	return code, p.Output()
}

// stop ends a node in order and opens the state that it leaves in its data
// directory.
func stop(t *testing.T, d *process.Dev, data string) *stopped {
	t.Helper()
	s := d.Status()
	interrupt(t, d)
	left := openStopped(t, data)
	if left.index < s.Groups[0].Applied {
		t.Errorf("the state is at index %d; want at least %d, which was applied", left.index, s.Groups[0].Applied)
	}
	return left
}

func interrupt(t *testing.T, d *process.Dev) {
	t.Helper()
	if code := d.Interrupt(); code != 0 {
		t.Fatalf("Ctrl-C: exit code %d:\n%s", code, d.Output())
	}
}

// accounted checks that no event was lost or counted twice, and adds them up.
func accounted(t *testing.T, s *process.Status) (events, dead int64) {
	t.Helper()
	var positions []check.Position
	for _, i := range s.Inputs {
		positions = append(positions, check.Position{Partition: fmt.Sprintf("%s/%d", i.Topic, i.Partition),
			Events: i.Events, Applied: i.Applied, Duplicates: i.Duplicates, DeadLetters: i.DeadLetters})
		events, dead = events+i.Events, dead+i.DeadLetters
	}
	report(t, check.Inputs(positions))
	if events == 0 {
		t.Error("no events were applied")
	}
	return events, dead
}

// total is one outcome of a currency.
type total struct {
	Outcome                 string
	Documents, Lines, Units int64
	Amount                  string
}

func (o total) money(t *testing.T) state.Decimal { return money(t, o.Amount) }

func totals(t *testing.T, d *process.Node) map[string]total {
	t.Helper()
	var answer struct{ Outcomes []total }
	if err := d.Get("/v1/totals/GBP", &answer); err != nil {
		t.Fatal(err)
	}
	by := map[string]total{}
	for _, o := range answer.Outcomes {
		by[o.Outcome] = o
	}
	return by
}

// letters is what the dead-letter topic says.
type letters struct {
	count  int64
	lines  int64
	amount state.Decimal // Σ quantity × unit price
	codes  map[string]int
}

// readLetters reads the dead-letter topic from its beginning.
func readLetters(t *testing.T, broker string) *letters {
	t.Helper()
	l := &letters{codes: map[string]int{}}
	newTail(t, broker, func(_ string, r *connectors.RawRecord) {
		var e struct {
			Reason string
			Fields map[string]string
		}
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		l.count++
		l.codes[e.Reason]++
		for i := 0; e.Fields[fmt.Sprintf("lines[%d].sku", i)] != ""; i++ {
			quantity := money(t, e.Fields[fmt.Sprintf("lines[%d].quantity", i)]) / state.One
			l.amount += quantity * money(t, e.Fields[fmt.Sprintf("lines[%d].unit_price", i)])
			l.lines++
		}
	}, retail.DefaultTopics()[retail.TopicDeadLetters]).toEnd()
	return l
}

// sameRows checks that every row of the data set is somewhere, once.
func sameRows(t *testing.T, log *decisions, all map[string]total, dead *letters) {
	t.Helper()
	t.Logf("dead letters %v", dead.codes)
	if n := all["ordered"].Documents; n != uciOrders {
		t.Errorf("orders in the totals = %d; want %d", n, uciOrders)
	}
	if log.lines != all["ordered"].Lines {
		t.Errorf("lines decided on the topic = %d; want the %d ordered", log.lines, all["ordered"].Lines)
	}
	// A cancellation's row is one document, whatever lines of its order it takes.
	if rows := log.lines + all["cancelled"].Documents + all["returned"].Documents + dead.lines; rows != uciRows {
		t.Errorf("rows = %d decided, %d cancelled, %d returned, %d dead-lettered: %d; want %d", log.lines, all["cancelled"].Documents,
			all["returned"].Documents, dead.lines, rows, uciRows)
	}
}

// invoices counts the data set's invoices in the sales topic, whatever became
// of their rows.
func invoices(t *testing.T, broker string) int {
	t.Helper()
	seen := map[string]bool{}
	newTail(t, broker, func(_ string, r *connectors.RawRecord) {
		var e struct{ Type, Order, Document string }
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		name := e.Order
		switch e.Type {
		case "replay.mark", "order.shipped":
			return
		case "order.cancelled", "return.received":
			name = e.Document
		}
		invoice, _, _ := strings.Cut(name, "/")
		seen[invoice] = true
	}, retail.DefaultTopics()[retail.TopicSales]).toEnd()
	return len(seen)
}
