package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
)

// startKafka runs an embedded broker in its own process.
func startKafka(t *testing.T) (address string) {
	t.Helper()
	broker := process.Start(t, "kafka", "--port", strconv.Itoa(process.FreePort(t)))
	return broker.Wait(`Kafka on ([0-9.:]+)`)
}

// serveConfig is the configuration of a node of a test, more keys behind it.
func serveConfig(t *testing.T, dir, id, kafka, more string) string {
	t.Helper()
	return writeTemp(t, dir, id+".yaml", fmt.Sprintf(`node: {id: %s, data: %s, peer: "127.0.0.1:%d", http: "127.0.0.1:0"}
cluster: {name: shop, shards: 16, durability: memory}
kafka: {brokers: [%s]}
%s`, id, filepath.Join(dir, id), process.FreePort(t), kafka, more))
}

// stock makes a store with stock known to the cluster.
func stock(n *process.Node, sku string, quantity int) {
	now := time.Now().UTC().Format(time.RFC3339Nano)
	n.Submit(fmt.Sprintf(`{"id":"l-1","source":"erp","type":"location","time":%q,"location":"sanlitun","kind":"store","channel":"own_store",
		"lat":39.93,"lon":116.45,"region":"BJ","timezone":"Asia/Shanghai","opens":"10:00","closes":"22:00","pools":["store"]}`, now))
	n.Submit(fmt.Sprintf(`{"id":"l-2","source":"erp","type":"location","time":%q,"location":"web","kind":"web","channel":"own_online"}`, now))
	n.Submit(fmt.Sprintf(`{"id":"k-1","source":"wms","type":"stock.counted","time":%q,"sku":%q,"location":"sanlitun","pool":"store","quantity":%d,"document":"CNT-1"}`, now, sku, quantity))
}

// order writes an order of one unit to a file.
func order(t *testing.T, number, sku string) (file string) {
	t.Helper()
	return writeTemp(t, t.TempDir(), number+".json", fmt.Sprintf(`{"order":%q,"channel":"own_online","location":"web","currency":"CNY",
"destination":{"lat":39.9,"lon":116.4,"region":"BJ"},"lines":[{"line":1,"sku":%q,"quantity":1,"unit_price":"899.00"}]}`, number, sku))
}

// place places an order over a node and returns its decision.
func place(t *testing.T, n *process.Node, file string) (answer string) {
	t.Helper()
	code, out := n.Client("order", "place", "-f", file, "-o", "json")
	if code != exitDone || !strings.Contains(out, "allocated") {
		t.Fatalf("order place = %d: %s", code, out)
	}
	return out
}

// A node by its configuration: topics of its own, TLS and tokens, and all is
// there again at the next start.
func TestServeOne(t *testing.T) {
	dir := t.TempDir()
	secure(t, dir)
	config := serveConfig(t, dir, "n1", startKafka(t), fmt.Sprintf(`topics: {allocations: shop.allocations, sales: shop.sales}
http: {tls: {cert_file: %s/http.pem, key_file: %[1]s/http.key}, auth: {tokens_file: %[1]s/tokens}}
`, dir))
	token := writeTemp(t, dir, "token", "a-token-of-the-shop\n")
	n := process.StartServe(t, config)
	n.Secure(dir+"/http.pem", token)
	n.Wait(`"msg":"output topics made","topics":\["shop.allocations"\]`)
	n.Wait(`"msg":"input topics don't exist","topics":\["shop.sales"\]`)
	n.Wait(`"msg":"ready"`)
	stock(n, "glasses-7", 3)
	file := order(t, "W-1", "glasses-7")
	placed := place(t, n, file)
	if code, out := n.Client("cluster", "status"); code != exitDone || !strings.Contains(out, "waiting: the topic doesn't exist") {
		t.Errorf("cluster status = %d: %s", code, out)
	}
	if code, out := n.Client("get", "stock", "glasses-7", "--token-file", writeTemp(t, dir, "other", "not-one-of-the-tokens")); code != exitFailed || !strings.Contains(out, "401 token_missing") {
		t.Errorf("get stock without a good token = %d: %s", code, out)
	}
	if code := n.Terminate(); code != exitDone {
		t.Errorf("SIGTERM: exit code %d:\n%s", code, n.Output())
	}
	for line := range strings.Lines(n.Errors()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("log line is not JSON: %s", line)
		}
	}
	n = process.StartServe(t, config)
	n.Secure(dir+"/http.pem", token)
	n.Wait(`"msg":"ready"`)
	if again := place(t, n, file); again != placed {
		t.Errorf("the same order after a restart: %s\nwant %s", again, placed)
	}
}

// secure makes what a secured API needs: a certificate and tokens, and some
// that are not as they should be.
func secure(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeTemp(t, dir, "http.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})))
	writeTemp(t, dir, "http.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	writeTemp(t, dir, "tokens", "# of the shop\na-token-of-the-shop\n\nthe-next-one-of-it\n")
	writeTemp(t, dir, "short", "a-token-of-the-shop\nshort\n")
	if err := os.Chmod(writeTemp(t, dir, "open", "a-token-of-the-shop\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// serveThree starts three nodes that join each other.
func serveThree(t *testing.T, dir, kafka string) (nodes []*process.Node, configs []string) {
	t.Helper()
	if code, out, errs := run(t, "key", "create", dir+"/people.key"); code != exitDone {
		t.Fatalf("key create = %d: %s%s", code, out, errs)
	}
	peers := process.FreePorts(t, 3)
	join := fmt.Sprintf("127.0.0.1:%d, 127.0.0.1:%d, 127.0.0.1:%d", peers[0], peers[1], peers[2])
	for i, port := range peers {
		id := fmt.Sprintf("n%d", i+1)
		config := writeTemp(t, dir, id+".yaml", fmt.Sprintf(`node: {id: %s, data: %s, peer: "127.0.0.1:%d", http: "127.0.0.1:0"}
cluster: {name: shop, shards: 16, join: [%s]}
kafka: {brokers: [%s]}
privacy: {pseudonym_key_file: %s/people.key}
`, id, filepath.Join(dir, id), port, join, kafka, dir))
		configs = append(configs, config)
		nodes = append(nodes, process.StartServe(t, config))
	}
	return nodes, configs
}

// leader asks the nodes that run which of them leads.
func leader(t *testing.T, nodes []*process.Node) (lead int) {
	t.Helper()
	process.Until(t, process.Patience, "a leader", func() bool {
		for i, n := range nodes {
			var s struct{ Groups []struct{ Role string } }
			if n != nil && n.Get("/v1/cluster", &s) == nil && len(s.Groups) == 1 && s.Groups[0].Role == "leader" {
				lead = i
				return true
			}
		}
		return false
	})
	return lead
}

// Three processes: formed once, decisions over any node, a leader that is asked
// to end hands over, and all is there after a restart of all.
func TestServeThree(t *testing.T) {
	dir := t.TempDir()
	nodes, configs := serveThree(t, dir, startKafka(t))
	if code, out := nodes[1].Client("cluster", "init"); code != exitDone || !strings.Contains(out, "cluster shop is formed of 3 nodes") {
		t.Fatalf("cluster init = %d: %s", code, out)
	}
	if code, out := nodes[2].Client("cluster", "init"); code != exitDone {
		t.Errorf("cluster init again = %d: %s; want nothing changed", code, out)
	}
	lead := leader(t, nodes)
	follower := nodes[(lead+1)%3]
	stock(follower, "glasses-7", 9)
	file := order(t, "W-1", "glasses-7")
	placed := place(t, follower, file)

	to := (lead + 1) % 3
	code, out := nodes[(lead+2)%3].Client("cluster", "transfer", "0", "--to", fmt.Sprintf("n%d", to+1))
	if code != exitDone || !strings.Contains(out, fmt.Sprintf("group 0: n%d leads, before it was n%d", to+1, lead+1)) {
		t.Errorf("transfer = %d: %s", code, out)
	}
	t.Logf("transfer: %s", out)

	lead = leader(t, nodes)
	ended := time.Now()
	if code := nodes[lead].Terminate(); code != exitDone {
		t.Errorf("SIGTERM of the leader: exit code %d:\n%s", code, nodes[lead].Output())
	}
	gone := nodes[lead]
	nodes[lead] = nil
	next := leader(t, nodes)
	t.Logf("the leader ended and another led %v after SIGTERM", time.Since(ended).Round(time.Millisecond))
	place(t, nodes[next], order(t, "W-2", "glasses-7"))
	status(t, nodes[next], fmt.Sprintf("node n%d does not answer", lead+1))
	// The address that nobody listens on is passed over.
	if code, out := nodes[next].Client("get", "order", "W-2", "--addr", gone.HTTP+","+nodes[next].HTTP); code != exitDone {
		t.Errorf("get over two addresses = %d: %s", code, out)
	}
	restartAll(t, nodes, configs)
	if again := place(t, nodes[lead], file); again != placed {
		t.Errorf("the same order after a restart of all: %s\nwant %s", again, placed)
	}
}

// status wants a line of 'cluster status'.
func status(t *testing.T, n *process.Node, want string) {
	t.Helper()
	if code, out := n.Client("cluster", "status"); code != exitDone || !strings.Contains(out, want) {
		t.Errorf("cluster status = %d: %s\nwant %q", code, out, want)
	}
}

// restartAll ends the nodes that run, and starts all.
func restartAll(t *testing.T, nodes []*process.Node, configs []string) {
	t.Helper()
	for _, n := range nodes {
		if n != nil {
			n.Signal(os.Interrupt)
		}
	}
	for i, n := range nodes {
		if n != nil {
			if code := n.End(); code != exitDone {
				t.Errorf("exit code %d:\n%s", code, n.Output())
			}
		}
		nodes[i] = process.StartServe(t, configs[i])
	}
	for _, n := range nodes {
		n.Wait(`"msg":"ready"`)
	}
}

// What can't work is refused in one line, or in one per fault of the file.
func TestServeRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	secure(t, dir)
	other := filepath.Join(t.TempDir(), "other")
	open := process.StartServe(t, serveConfig(t, filepath.Dir(other), "other", "127.0.0.1:1", ""))
	if code := open.Terminate(); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, open.Output())
	}
	tests := []struct{ name, node, more, want string }{
		{"API port taken", "http: " + taken.Addr().String(), "", "address already in use"},
		{"peer port taken", `http: "127.0.0.1:0", peer: ` + taken.Addr().String(), "", "address already in use"},
		{"no certificate", "", "http: {tls: {cert_file: none.pem, key_file: none.key}}", "http.tls: open none.pem: no such file"},
		{"no authority", "", "kafka: {brokers: [k:1], tls: {ca_file: none.pem}}", "kafka.tls.ca_file: open none.pem: no such file"},
		{"no password", "", "kafka: {brokers: [k:1], sasl: {mechanism: PLAIN, user: u, password_file: none}}", "password_file: open none: no such file"},
		{"no peer certificate", "", "peer: {tls: {ca_file: none.pem, cert_file: none.pem, key_file: none.key}}", "none.pem: no such file"},
		{"tokens for all to read", "", "http: {auth: {tokens_file: " + dir + "/open}}", "has mode 0644: others may read it; run chmod 600"},
		{"short token", "", "http: {auth: {tokens_file: " + dir + "/short}}", "short:2: a token has 16 or more characters"},
		{"no key", "", "privacy: {pseudonym_key_file: none.key}", "none.key: no such file"},
		{"directory of another node", "data: " + other, "", "node is other, not n1"},
		{"directory of something else", "data: " + dir, "", "not an Anabranch data directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			own := t.TempDir()
			node := `id: n1, ` + tt.node
			for _, key := range []string{"data: " + own + "/data", `http: "127.0.0.1:0"`, "peer: 127.0.0.1:" + strconv.Itoa(process.FreePort(t))} {
				if name, _, _ := strings.Cut(key, ":"); !strings.Contains(node, name+": ") {
					node += ", " + key
				}
			}
			text := "node: {" + strings.ReplaceAll(node, ", ,", ",") + "}\ncluster: {name: shop, shards: 16}\n"
			if !strings.HasPrefix(tt.more, "kafka") {
				text += "kafka: {brokers: [127.0.0.1:1]}\n"
			}
			p := process.Start(t, "serve", "--config", writeTemp(t, own, "n1.yaml", text+tt.more+"\n"))
			if code := p.End(); code != exitFailed || !oneLine(p.Output(), tt.want) {
				t.Errorf("exit code %d, output:\n%s\nwant one line with %q", code, p.Output(), tt.want)
			}
		})
	}
}

func TestServeConfig(t *testing.T) {
	dir := t.TempDir()
	good := serveConfig(t, dir, "n1", "kafka:9092", "")
	t.Setenv("ANABRANCH_LOG_LEVEL", "debug")
	code, out, errs := run(t, "serve", "--config", good, "--print-config")
	if code != exitDone || !strings.Contains(out, "# ANABRANCH_LOG_LEVEL") || !strings.Contains(out, "# "+good+":2:17") || !strings.Contains(out, "# default") {
		t.Errorf("print-config = %d: %s%s", code, out, errs)
	}
	bad := writeTemp(t, dir, "bad.yaml", "node: {id: n1, dta: x}\ncluster: {name: shop, durability: ssd}\nkafka: {brokers: [k:1]}\n")
	code, _, errs = run(t, "serve", "--config", bad)
	if code != exitFailed || !strings.Contains(errs, "bad.yaml has 3 faults:") || !strings.Contains(errs, bad+":2:35: cluster.durability") {
		t.Errorf("bad configuration = %d: %s", code, errs)
	}
	if code, _, errs = run(t, "serve"); code != exitUsage || !strings.Contains(errs, "--config is missing") {
		t.Errorf("no configuration = %d: %s", code, errs)
	}
}

// While Kafka is away a node waits and says so, and it can still be ended.
func TestServeWaitsForKafka(t *testing.T) {
	n := process.StartServe(t, serveConfig(t, t.TempDir(), "n1", "127.0.0.1:1", ""))
	n.Wait(`"msg":"output topics wait for kafka"`)
	if code := n.Terminate(); code != exitDone {
		t.Errorf("SIGTERM: exit code %d:\n%s", code, n.Output())
	}
}
