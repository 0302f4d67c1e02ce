package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"anabranch.dev/connectors/wire"
)

// server is one node of a cluster of processes.
type server struct {
	id, config string
	http       string
	child      *child // nil while it is down
}

// servers are a cluster of processes of this program.
type servers struct {
	binary, dir string
	all         []*server
}

// serverConfig is a node's configuration file.
var serverConfig = template.Must(template.New("anabranch.yaml").Parse(`node: {id: {{.ID}}, data: {{.Data}}, peer: "{{.Peer}}", http: "{{.HTTP}}"}
cluster: {name: {{.Cluster}}, durability: {{.Durability}}, groups: {{.Groups}}, join: [{{range $i, $j := .Join}}{{if $i}}, {{end}}"{{$j}}"{{end}}]}
kafka: {brokers: ["{{.Broker}}"], delivery: {{.Delivery}}, group: {{.Cluster}}}
topics: { {{- range $alias, $name := .Topics}}{{$alias}}: {{$name}}, {{end -}} }
privacy: {pseudonym_key_file: {{.Key}}}
limits: {hot_memory: 128MiB}
log: {level: warn, format: text}
`))

// newServers writes the configurations of n nodes with so many groups on free
// ports. The given topics are there already.
func newServers(cfg *KafkaConfig, groups int, binary, dir string, t *topics) (*servers, error) {
	binary, err := program(binary)
	if err != nil {
		return nil, err
	}
	s := &servers{binary: binary, dir: dir}
	key := filepath.Join(dir, "pseudonym.key")
	if _, err := wire.CreateKey(key); err != nil {
		return nil, err
	}
	ports, err := freePorts(2 * cfg.Nodes)
	if err != nil {
		return nil, err
	}
	for i := range cfg.Nodes {
		n := &server{id: fmt.Sprintf("n%d", i+1), http: ports[cfg.Nodes+i]}
		n.config = filepath.Join(dir, n.id+".yaml")
		file, err := os.Create(n.config)
		if err != nil {
			return nil, err
		}
		err = serverConfig.Execute(file, map[string]any{"ID": n.id, "Data": filepath.Join(dir, n.id), "Peer": ports[i], "HTTP": n.http,
			"Cluster": t.run, "Durability": cfg.Durability, "Groups": groups, "Join": ports[:cfg.Nodes], "Broker": t.broker, "Delivery": cfg.Delivery,
			"Topics": t.names, "Key": key})
		if e := file.Close(); err == nil {
			err = e
		}
		if err != nil {
			return nil, err
		}
		s.all = append(s.all, n)
	}
	return s, nil
}

// freePorts finds addresses on loopback that nobody listens on. They are below
// those that the system gives to clients, so that they stay free.
func freePorts(n int) (list []string, err error) {
	for port := 20000 + time.Now().Nanosecond()/1000%8000; len(list) < n && port < 32000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		list = append(list, l.Addr().String())
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	if len(list) < n {
		return nil, fmt.Errorf("no %d free ports", n)
	}
	return list, nil
}

// start starts a node.
func (s *servers) start(n *server) (err error) {
	n.child, err = startChild(s.binary, s.dir, n.id, "serve", "--config", n.config)
	return err
}

// form starts all nodes and forms the cluster.
func (s *servers) form(ctx context.Context) error {
	for _, n := range s.all {
		if err := s.start(n); err != nil {
			return err
		}
	}
	for _, n := range s.all {
		if err := n.await(ctx, func() bool { return n.get(ctx, "healthz", nil) == nil }); err != nil {
			return fmt.Errorf("node %s does not answer: %w", n.id, err)
		}
	}
	if len(s.all) > 1 {
		var last error // the nodes may not have found each other yet
		err := s.all[0].await(ctx, func() bool { last = s.all[0].post(ctx, "v1/cluster/init"); return last == nil })
		if err != nil {
			return fmt.Errorf("form cluster: %w (%w)", err, last)
		}
	}
	for _, n := range s.all {
		if err := n.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close ends all nodes, in order.
func (s *servers) close() error {
	var first error
	for _, n := range s.all {
		if n.child == nil {
			continue
		}
		if err := n.child.stop(); err != nil && first == nil {
			first = err
		}
		n.child = nil
	}
	return first
}

// replica is what a node says of its replica.
type replica struct {
	Role          string `json:"role"`
	Term          uint64 `json:"term"`
	Commit        uint64 `json:"commit"`
	Applied       uint64 `json:"applied"`
	Written       uint64 `json:"written"`
	OutboxRecords int    `json:"outbox_records"`
}

// replica asks a node for its replica of the first group.
func (n *server) replica(ctx context.Context) (r replica, err error) {
	return r, n.get(ctx, "v1/groups/0", &r)
}

// leader finds the node that leads.
func (s *servers) leader(ctx context.Context) (*server, error) {
	var found *server
	err := s.all[0].await(ctx, func() bool {
		for _, n := range s.all {
			if r, err := n.replica(ctx); err == nil && r.Role == "leader" {
				found = n
				return true
			}
		}
		return false
	})
	if err != nil {
		return nil, fmt.Errorf("no leader: %w", err)
	}
	return found, nil
}

// readyTimeout bounds how long a node may take to be ready, or to catch up.
const readyTimeout = 2 * time.Minute

// await waits until something holds, or the node's process ends.
func (n *server) await(ctx context.Context, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		if n.child != nil {
			if err := n.child.ended(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
	return nil
}

// ready waits until the node says that it is.
func (n *server) ready(ctx context.Context) error {
	var last error
	if err := n.await(ctx, func() bool { last = n.get(ctx, "readyz", nil); return last == nil }); err != nil {
		return fmt.Errorf("node %s is not ready: %w (%w)", n.id, err, last)
	}
	return nil
}

// asking has a bound, because a node may hang.
var asking = &http.Client{Timeout: 10 * time.Second}

func (n *server) get(ctx context.Context, path string, into any) error {
	return n.send(ctx, asking, http.MethodGet, path, http.NoBody, into)
}

func (n *server) post(ctx context.Context, path string) error {
	return n.send(ctx, asking, http.MethodPost, path, http.NoBody, nil)
}

func (n *server) send(ctx context.Context, by *http.Client, method, path string, content io.Reader, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.http+"/"+path, content)
	if err != nil {
		return err
	}
	if content != http.NoBody {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := by.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(body)))
	}
	switch into := into.(type) {
	case nil:
		return nil
	case *string:
		*into = string(body)
		return nil
	}
	return json.Unmarshal(body, into)
}
