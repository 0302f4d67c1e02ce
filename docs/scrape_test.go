package docs_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/operators/totals"
	"anabranch.dev/topology/retail"
)

// never are metrics that a cluster which is well has no cause to show. That they
// exist under these names is what TestMetrics holds against the source.
var never = map[string]bool{"anabranch_group_faults_total": true}

// Every metric that the dashboard or an alert asks for is in a scrape of three
// real nodes that have read, decided, delivered, answered for each other, refused
// a stranger and made a dead letter.
func TestDashboardAndAlertsAskForWhatIsThere(t *testing.T) {
	asked := map[string]string{}
	for _, group := range readAlerts(t).Groups {
		for _, r := range group.Rules {
			for _, name := range query(t, r.Alert, r.Expr) {
				asked[name] = r.Alert
			}
		}
	}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			for _, name := range query(t, p.Title, target.Expr) {
				asked[name] = p.Title
			}
		}
	}
	c := startThree(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		there := scrape(c)
		var missing []string
		for name, by := range asked {
			if !there[name] && !never[name] {
				missing = append(missing, fmt.Sprintf("%s, for %q", name, by))
			}
		}
		if len(missing) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no node shows\n%s", strings.Join(missing, "\n"))
		case <-again.C:
		}
	}
}

var sample = regexp.MustCompile(`(?m)^([a-z_0-9:]+)[{ ]`)

// scrape lists the metrics that the nodes show, histograms without their ending.
func scrape(c *assembly.Cluster) map[string]bool {
	there := map[string]bool{}
	for _, n := range c.Nodes {
		w := httptest.NewRecorder()
		n.Metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		for _, m := range sample.FindAllStringSubmatch(w.Body.String(), -1) {
			there[strings.TrimSuffix(m[1], "_count")] = true
		}
	}
	return there
}

// startThree runs a cluster until the test ends and gives it something of
// everything to do.
func startThree(t *testing.T) *assembly.Cluster {
	t.Helper()
	plan, err := assembly.Plan()
	if err != nil {
		t.Fatal(err)
	}
	broker, err := embedded.Start(embedded.Config{Topics: assembly.BrokerTopics(plan)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, broker.Close()) })
	dir := t.TempDir()
	key, err := wire.CreateKey(filepath.Join(dir, "key"))
	must(t, err)
	c, err := assembly.OpenCluster(3, func(i int, cfg *assembly.Config) {
		cfg.Dir, cfg.Key, cfg.Kafka.Brokers, cfg.Shards = filepath.Join(dir, fmt.Sprint(i)), key, []string{broker.Addr()}, 16
		cfg.Log = slog.New(slog.DiscardHandler)
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, <-done)
	})
	soon, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := c.Ready(soon); err != nil {
		t.Fatal(err)
	}
	produce(t, soon, broker.Addr(), `{"id":"0","type":"no.such.type"}`, fmt.Sprintf(
		`{"id":"1","source":"test","type":"order.placed","time":"%s","order":"o-1","channel":"own_online","currency":"GBP",
		"lines":[{"line":1,"sku":"glasses-7","quantity":1,"unit_price":"2.55"}]}`, time.Now().UTC().Format(time.RFC3339)))
	for _, n := range c.Nodes {
		stranger, err := net.Dial("tcp", n.PeerAddr())
		must(t, err)
		_, err = stranger.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		must(t, err)
		must(t, stranger.Close())
		_, _, err = n.Ask(soon, retail.StageTotals, "totals", "GBP", &totals.Question{}, connectors.Linearizable)
		t.Logf("totals at %s: %v", n.ID, err) // an answer or none: two of three have asked the leader
		n.Metrics.Requests(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v1/nothing", nil))
	}
	return c
}

// produce writes records to the topic of sales.
func produce(t *testing.T, ctx context.Context, broker string, values ...string) {
	t.Helper()
	p, err := kafka.NewProducer(kafka.Config{Brokers: []string{broker}})
	must(t, err)
	defer p.Close()
	for _, v := range values {
		must(t, p.Produce(ctx, connectors.OutRecord{Topic: assembly.TopicNames()[retail.TopicSales], Value: []byte(v)}, 0))
	}
	must(t, p.Flush(ctx))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
