package process

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// Dev is a running 'anabranch dev' with the addresses that it has printed.
type Dev struct {
	*Process
	HTTP, Kafka string
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
	d := &Dev{Process: p, HTTP: p.Wait(`console +http://(\S+)/`)}
	d.Kafka = p.Wait(`Kafka +([^\s,]+)`)
	p.Explain = func() string {
		_, status := d.Client("cluster", "status")
		return status
	}
	return d
}

// Client runs a command of ours against it and returns its exit code and output.
func (d *Dev) Client(args ...string) (int, string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append(args, "--addr", d.HTTP)...)
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// Get asks the API for a path and decodes the answer.
func (d *Dev) Get(path string, into any) error {
	resp, err := http.Get("http://" + d.HTTP + path)
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
func (d *Dev) Submit(body string) {
	d.t.Helper()
	Until(d.t, Patience, "event taken", func() bool {
		resp, err := http.Post("http://"+d.HTTP+"/v1/events", "application/json", strings.NewReader(body))
		if err != nil {
			d.t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			d.t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
			d.t.Fatalf("submit = %d: %s", resp.StatusCode, answer)
		}
		return resp.StatusCode == http.StatusOK
	})
}

// Status is what the API says of the cluster.
type Status struct {
	Clock  string `json:"clock"`
	Ready  bool   `json:"ready"`
	Groups []struct {
		Applied       uint64 `json:"applied"`
		OutboxRecords int    `json:"outbox_records"`
		Delivery      string `json:"delivery"`
		Halted        string `json:"halted"`
		DeadLettered  int64  `json:"dead_lettered"`
	} `json:"groups"`
	Inputs []Input `json:"inputs"`
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
func (d *Dev) Status() Status {
	d.t.Helper()
	var s Status
	if err := d.Get("/v1/cluster", &s); err != nil {
		d.t.Fatal(err)
	}
	slices.SortFunc(s.Inputs, func(a, b Input) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return s
}

// Settled says whether everything that the node has seen in its inputs is
// applied, and all that came of it delivered.
func (s *Status) Settled() bool {
	for _, g := range s.Groups {
		if g.OutboxRecords > 0 {
			return false
		}
	}
	for _, i := range s.Inputs {
		if i.Next < i.End {
			return false
		}
	}
	return len(s.Inputs) > 0
}
