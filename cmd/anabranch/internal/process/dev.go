package process

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/settled"
)

// Node is a running node whose API listens on HTTP.
type Node struct {
	*Process
	HTTP string

	http  *http.Client
	flags []string // that commands need to reach it
}

// Dev is a running 'anabranch dev' with the addresses that it has printed.
type Dev struct {
	*Node
	Kafka string
}

// StartDev starts one on a free HTTP port and waits for its addresses.
func StartDev(t testing.TB, args ...string) *Dev {
	t.Helper()
	return StartDevIn(t, nil, args...)
}

// StartDevIn is StartDev with more settings in the environment.
func StartDevIn(t testing.TB, env []string, args ...string) *Dev {
	t.Helper()
	p := StartIn(t, env, append([]string{"dev", "--http", "127.0.0.1:0"}, args...)...)
	return &Dev{Node: newNode(p, p.Wait(`console +http://(\S+)/`)), Kafka: p.Wait(`Kafka +([^\s,]+)`)}
}

// StartServe starts a node with a configuration file and waits until it serves.
// The log must be JSON, as it is by default.
func StartServe(t testing.TB, config string, args ...string) *Node {
	t.Helper()
	p := Start(t, append([]string{"serve", "--config", config}, args...)...)
	return newNode(p, p.Wait(serving))
}

// serving is what a node logs when it serves, and where.
const serving = `"msg":"serving".*"http":"([^"]+)"`

func newNode(p *Process, address string) *Node {
	n := &Node{Process: p, HTTP: address, http: http.DefaultClient}
	p.Explain = func() string {
		_, status := n.Client("cluster", "status")
		return status
	}
	return n
}

// Secure says which certificate to trust and which token to show from now on.
func (n *Node) Secure(caFile, tokenFile string) {
	n.t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		n.t.Fatal(err)
	}
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		n.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	n.HTTP, n.flags = "https://"+n.HTTP, []string{"--ca-file", caFile, "--token-file", tokenFile}
	n.http = &http.Client{Transport: bearer{strings.TrimSpace(string(token)), &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
}

// bearer shows a token with every request.
type bearer struct {
	token string
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// url is where a path of the API is.
func (n *Node) url(path string) string {
	if strings.HasPrefix(n.HTTP, "https://") {
		return n.HTTP + path
	}
	return "http://" + n.HTTP + path
}

// Client runs a command of ours against it and returns its exit code and output.
func (n *Node) Client(args ...string) (int, string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	flags := append([]string{"--addr", n.HTTP}, n.flags...)
	for i := 0; i < len(flags); i += 2 {
		if !slices.Contains(args, flags[i]) {
			args = append(args, flags[i], flags[i+1])
		}
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// Get asks the API for a path and decodes the answer.
func (n *Node) Get(path string, into any) error {
	resp, err := n.http.Get(n.url(path))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s = %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// Submit brings an event in, as soon as the node is ready for it.
func (n *Node) Submit(body string) {
	n.t.Helper()
	Until(n.t, Patience, "event taken", func() bool {
		resp, err := n.http.Post(n.url("/v1/events"), "application/json", strings.NewReader(body))
		if err != nil {
			n.t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			n.t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
			n.t.Fatalf("submit = %d: %s", resp.StatusCode, answer)
		}
		return resp.StatusCode == http.StatusOK
	})
}

// Status is what the API says of the cluster.
type Status struct {
	Clock  string  `json:"clock"`
	Ready  bool    `json:"ready"`
	Groups []Group `json:"groups"` // as the asked node sees them
	Nodes  []struct {
		Groups []Group `json:"groups"`
	} `json:"nodes"`
	Inputs []Input `json:"inputs"`
}

// Group is a group, as one of its replicas sees it.
type Group struct {
	Group         int    `json:"group"`
	Role          string `json:"role"`
	Commit        uint64 `json:"commit"`
	Applied       uint64 `json:"applied"`
	OutboxRecords int    `json:"outbox_records"`
	LaneMessages  int    `json:"lane_messages"`
	Delivery      string `json:"delivery"`
	Halted        string `json:"halted"`
	DeadLettered  int64  `json:"dead_lettered"`
}

// Input is how far an input partition has been applied.
type Input struct {
	Topic       string `json:"topic"`
	Partition   int32  `json:"partition"`
	Next        int64  `json:"next"`
	End         int64  `json:"end"`
	Events      int64  `json:"events"`
	Applied     int64  `json:"applied"`
	Duplicates  int64  `json:"duplicates"`
	DeadLetters int64  `json:"dead_letters"`
}

// Status asks for the cluster's status, inputs in order.
func (n *Node) Status() Status {
	n.t.Helper()
	var s Status
	if err := n.Get("/v1/cluster", &s); err != nil {
		n.t.Fatal(err)
	}
	slices.SortFunc(s.Inputs, func(a, b Input) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return s
}

// Settled takes a look at whether everything that the node has seen in its
// inputs, and no fewer records than so many, is applied, and all that came of it
// delivered.
func (s *Status) Settled(w *settled.Watch, least int64) bool {
	read, next := len(s.Inputs) > 0, int64(0)
	for _, i := range s.Inputs {
		next += i.Next
		read = read && i.Next >= i.End
	}
	var leaders []settled.Group
	for _, n := range s.Nodes {
		for _, g := range n.Groups {
			if g.Role == "leader" {
				leaders = append(leaders, settled.Group{Group: g.Group, Commit: g.Commit, Applied: g.Applied, OutboxRecords: g.OutboxRecords, LaneMessages: g.LaneMessages})
			}
		}
	}
	return w.Look(read && next >= least, len(s.Groups), leaders)
}
