package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/internal/apachekafka"
	"anabranch.dev/topology/retail"
)

// Classes of Kafka's own console tools.
const (
	consoleProducer = "org.apache.kafka.tools.ConsoleProducer"
	consoleConsumer = "org.apache.kafka.tools.consumer.ConsoleConsumer"
)

// Whoever has Kafka's own clients needs nothing of ours: they place orders and
// read the decisions, with and without transactions.
func TestStockClients(t *testing.T) {
	skipShort(t, "starts Apache Kafka")
	broker := apachekafka.Run(t, apachekafka.Config{}).Addrs()[0]
	d := process.StartDev(t, "--kafka", broker, "--no-sample", "--quiet")
	s := newShop(t, broker)
	s.opening(10)
	settle(t, d, s.sent())
	sales, allocations := retail.DefaultTopics()[retail.TopicSales], retail.DefaultTopics()[retail.TopicAllocations]

	runJava(t, order("console-1", 1)+"\n", consoleProducer, "--bootstrap-server", broker, "--topic", sales)
	text := runJava(t, "", consoleConsumer, "--bootstrap-server", broker, "--topic", allocations, "--from-beginning",
		"--isolation-level", "read_committed", "--max-messages", "1", "--timeout-ms", "60000",
		"--formatter-property", "print.key=true", "--formatter-property", "key.separator= ")
	wantDecided(t, text, "console-1")

	script := "plain java-plain " + order("java-plain", 2) + "\n" +
		"aborted java-aborted " + order("java-aborted", 4) + "\n" +
		"committed java-committed " + order("java-committed", 3) + "\n"
	text = runJava(t, script, "testdata/StockClient.java", broker, sales, allocations)
	wantDecided(t, text, "console-1", "java-plain", "java-committed")

	settle(t, d, 0)
	log := newDecisions(t)
	log.tail(broker).toEnd()
	log.good()
	if n := log.out.Orders(); n != 3 {
		t.Errorf("orders decided = %d; want 3, without the one whose transaction was aborted", n)
	}
}

// runJava runs a class or a source file with Kafka's jars and returns what it
// prints.
func runJava(t *testing.T, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd, err := apachekafka.Command(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(input), &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("java %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

// wantDecided wants one line for each order: its id and a decision that gives
// it all that it asks for.
func wantDecided(t *testing.T, text string, orders ...string) {
	t.Helper()
	got := map[string]int{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || !strings.HasPrefix(value, "{") {
			continue // what Java itself has to say
		}
		var decision struct {
			Type, Order string
			Lines       []struct{ Outcome string }
		}
		if err := json.Unmarshal([]byte(value), &decision); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if decision.Order != key || decision.Type != "allocation.decided" || len(decision.Lines) != 1 || decision.Lines[0].Outcome != "allocated" {
			t.Errorf("decision under key %s = %s; want one line allocated", key, value)
		}
		got[key]++
	}
	for _, o := range orders {
		if got[o] != 1 {
			t.Errorf("decisions read for order %s = %d; want 1 (read %v)", o, got[o], got)
		}
	}
	if len(got) != len(orders) {
		t.Errorf("decisions read = %v; want those for %v", got, orders)
	}
}
