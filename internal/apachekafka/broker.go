package apachekafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// stopTimeout is how long a broker may take to stop in order. The last ones of
// three can't: nobody is left to take their partitions.
const stopTimeout = 15 * time.Second

// errPortTaken: somebody else took a port between our look and the broker's.
var errPortTaken = errors.New("a port was taken meanwhile")

// A broker is one of a cluster, running or not.
type broker struct {
	id                   int // from 1
	data, config, output string
	ports                map[Listener]int

	mu      sync.Mutex // guards process
	process *process   // nil while it is stopped
}

// launch starts its process; it answers some seconds later.
func (c *Cluster) launch(b *broker) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process != nil {
		return fmt.Errorf("broker %d is running", b.id)
	}
	output, err := os.OpenFile(b.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	args := append(slices.Clone(c.cfg.JVM), "-Dlog4j2.configurationFile="+c.path("log4j2.properties"),
		"-cp", filepath.Join(c.lib, "*"), "kafka.Kafka", b.config)
	cmd := exec.Command(c.java, args...)
	cmd.Stdout, cmd.Stderr = output, output
	p, err := start(cmd)
	if err == nil {
		b.process = p
	}
	return errors.Join(err, output.Close()) // the process has its own handle
}

// end ends its process, if it has one, and reports whether it had.
func (b *broker) end(how func(*process)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process == nil {
		return false
	}
	how(b.process)
	b.process = nil
	return true
}

// running is its process, nil if it has none.
func (b *broker) running() *process {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.process
}

// fate says why it ended by itself.
func (b *broker) fate() error {
	text := b.tail(200)
	if strings.Contains(text, "Address already in use") {
		return fmt.Errorf("broker %d: %w", b.id, errPortTaken)
	}
	return fmt.Errorf("broker %d ended:\n%s", b.id, b.tail(30))
}

// tail is the end of its output.
func (b *broker) tail(lines int) string {
	text, err := os.ReadFile(b.output)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

// format prepares the empty folders of all brokers.
func (c *Cluster) format(ctx context.Context) error {
	present, err := filepath.Glob(c.path("broker-*/meta.properties"))
	if err != nil {
		return err
	}
	if len(present) == len(c.brokers) {
		return nil
	}
	if len(present) > 0 {
		return fmt.Errorf("%s holds the data of %d brokers, not of %d", c.dir, len(present), len(c.brokers))
	}
	id, err := newClusterID()
	if err != nil {
		return err
	}
	faults := make([]error, len(c.brokers))
	var done sync.WaitGroup
	for i, b := range c.brokers {
		done.Go(func() { faults[i] = c.formatOne(ctx, b, id) })
	}
	done.Wait()
	return errors.Join(faults...)
}

func (c *Cluster) formatOne(ctx context.Context, b *broker, id string) error {
	args := append(slices.Clone(QuickJVM), "-cp", filepath.Join(c.lib, "*"), "kafka.tools.StorageTool", "format",
		"-t", id, "-c", b.config, "--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", User, Password))
	cmd := exec.CommandContext(ctx, c.java, args...)
	cmd.SysProcAttr = dieWithParent()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format %s: %w\n%s", b.data, err, out)
	}
	return nil
}
