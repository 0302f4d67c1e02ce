package apachekafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// startTimeout bounds a start, on a machine that has other work too.
const startTimeout = 90 * time.Second

// portTries is how often a start is tried with other ports.
const portTries = 5

// A Cluster runs until Close. Its methods may be called by several goroutines,
// but for one broker by one at a time.
type Cluster struct {
	cfg     Config
	java    string
	lib     string // folder of the jars
	dir     string
	kept    bool // dir is the caller's
	brokers []*broker

	closing sync.Once
	err     error // of Close
}

// Start starts all brokers and returns when they answer and know each other.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("start Apache Kafka: %w", err)
	}
	c := &Cluster{cfg: cfg.withDefaults(), kept: cfg.Dir != ""}
	if err := c.prepare(ctx); err != nil {
		return nil, fmt.Errorf("start Apache Kafka: %w", errors.Join(err, c.discard()))
	}
	if err := c.start(ctx); err != nil {
		return nil, fmt.Errorf("start Apache Kafka: %w", errors.Join(err, c.Close()))
	}
	return c, nil
}

// prepare finds what is needed and makes the folder.
func (c *Cluster) prepare(ctx context.Context) (err error) {
	if c.java, err = java(); err != nil {
		return err
	}
	if c.lib, err = Library(ctx); err != nil {
		return err
	}
	if c.kept {
		if c.dir, err = filepath.Abs(c.cfg.Dir); err == nil {
			err = os.MkdirAll(c.dir, 0o755)
		}
	} else {
		c.dir, err = os.MkdirTemp("", "anabranch-kafka-")
	}
	if err != nil {
		return err
	}
	for id := 1; id <= c.cfg.Brokers; id++ {
		name := c.path(fmt.Sprintf("broker-%d", id))
		c.brokers = append(c.brokers, &broker{id: id, data: name, config: name + ".properties", output: name + ".log"})
	}
	if c.cfg.Secure {
		if err := c.writeCertificates(); err != nil {
			return err
		}
	}
	return os.WriteFile(c.path("log4j2.properties"), []byte(logging), 0o644)
}

// start formats and launches, with other ports if one was taken meanwhile.
func (c *Cluster) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for try := 1; ; try++ {
		err := c.startOnce(ctx)
		if err == nil || !errors.Is(err, errPortTaken) || c.cfg.Port != 0 || try == portTries {
			return err
		}
		for _, b := range c.brokers {
			b.end((*process).kill)
			if err := os.Remove(b.output); err != nil { // it says that a port was taken
				return err
			}
		}
	}
}

func (c *Cluster) startOnce(ctx context.Context) error {
	if err := c.assignPorts(); err != nil {
		return err
	}
	for _, b := range c.brokers {
		if err := c.writeProperties(b); err != nil {
			return err
		}
	}
	if err := c.format(ctx); err != nil {
		return err
	}
	for _, b := range c.brokers {
		if err := c.launch(b); err != nil {
			return err
		}
	}
	for _, b := range c.brokers {
		if err := c.awaitReady(ctx, b, len(c.brokers)); err != nil {
			return err
		}
	}
	return nil
}

// newClusterID is 16 random bytes as Kafka writes them.
func newClusterID() (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", err
	}
	id[0] &= 0x7f // Kafka's tools take one that begins with a dash for an option
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}

// Addrs are the brokers' plain addresses, host:port.
func (c *Cluster) Addrs() []string { return c.AddrsOf(Plain) }

// AddrsOf are the brokers' addresses of a listener, nil if it is not open.
func (c *Cluster) AddrsOf(l Listener) []string {
	var addrs []string
	for _, b := range c.brokers {
		if port, ok := b.ports[l]; ok {
			addrs = append(addrs, address(port))
		}
	}
	return addrs
}

// Certificates are the files of a secure cluster: the authority's certificate,
// and a client's with its key.
func (c *Cluster) Certificates() (ca, cert, key string) {
	return c.path(caPEM), c.path(clientPEM), c.path(clientKey)
}

// Dir is where everything is.
func (c *Cluster) Dir() string { return c.dir }

// Kill ends a broker, counted from 1, as kill -9 does.
func (c *Cluster) Kill(id int) error { return c.end(id, (*process).kill) }

// Stop ends a broker in order.
func (c *Cluster) Stop(id int) error {
	return c.end(id, func(p *process) { p.stop(stopTimeout) })
}

func (c *Cluster) end(id int, how func(*process)) error {
	b, err := c.broker(id)
	if err != nil {
		return err
	}
	if !b.end(how) {
		return fmt.Errorf("broker %d is not running", id)
	}
	return nil
}

// Restart starts a broker that was killed or stopped, on its ports and folder,
// and returns when it answers and is in sync for everything it keeps.
func (c *Cluster) Restart(ctx context.Context, id int) error {
	b, err := c.broker(id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.launch(b); err != nil {
		return err
	}
	if err := c.awaitReady(ctx, b, 1); err != nil {
		return err
	}
	return c.awaitInSync(ctx, b)
}

func (c *Cluster) broker(id int) (*broker, error) {
	if id < 1 || id > len(c.brokers) {
		return nil, fmt.Errorf("there is no broker %d", id)
	}
	return c.brokers[id-1], nil
}

// Logs is the end of every broker's output.
func (c *Cluster) Logs() string {
	var text strings.Builder
	for _, b := range c.brokers {
		fmt.Fprintf(&text, "--- broker %d, %s\n%s\n", b.id, b.output, b.tail(20))
	}
	return text.String()
}

// Close ends all brokers: in order if their folder is kept, at once if it is a
// temporary one, which goes with them.
func (c *Cluster) Close() error {
	c.closing.Do(func() {
		how := (*process).kill
		if c.kept {
			how = func(p *process) { p.stop(stopTimeout) }
		}
		var done sync.WaitGroup
		for _, b := range c.brokers {
			done.Go(func() { b.end(how) })
		}
		done.Wait()
		c.err = c.discard()
	})
	return c.err
}

// discard removes a folder of ours.
func (c *Cluster) discard() error {
	if c.kept || c.dir == "" {
		return nil
	}
	return os.RemoveAll(c.dir)
}
