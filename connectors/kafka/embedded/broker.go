package embedded

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// portsToTry is how many ports are tried from the wanted one on.
const portsToTry = 100

// segmentBytes is small, because opening a directory reads whole segments.
const segmentBytes = 16 << 20

// A Broker is running until Close, or until its disk fails.
type Broker struct {
	cluster *kfake.Cluster
	gate    *gate
	dir     *directory // nil: in memory
	wanted  int
	port    int

	closing sync.Once
	err     error // of Close
}

// Start opens the data directory, listens and creates the topics.
func Start(cfg Config) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	b, err := start(&cfg)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return b, nil
}

func start(cfg *Config) (*Broker, error) {
	b := &Broker{wanted: cfg.Port, gate: newGate()}
	if cfg.DataDir != "" {
		dir, err := openDirectory(cfg.DataDir)
		if err != nil {
			return nil, err
		}
		b.dir = dir
	}
	err := b.listen()
	if err == nil {
		err = b.serve(cfg)
	}
	if err != nil {
		b.gate.shut()
		return nil, errors.Join(err, b.dir.unlock())
	}
	return b, nil
}

// listen takes the wanted port or the next free one.
func (b *Broker) listen() error {
	tries := portsToTry
	if b.wanted == 0 {
		tries = 1
	}
	var first error
	for port := b.wanted; port < b.wanted+tries && port <= 65535; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			b.gate.Listener = l
			b.port = l.Addr().(*net.TCPAddr).Port
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (b *Broker) serve(cfg *Config) error {
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("anabranch-embedded"),
		kfake.ListenFn(func(_, _ string) (net.Listener, error) { return b.gate, nil }),
		kfake.WithLogger(b.gate),
		kfake.BrokerConfigs(map[string]string{"log.segment.bytes": strconv.Itoa(segmentBytes)}),
	}
	if b.dir != nil {
		options = append(options, kfake.DataDir(b.dir.path), kfake.SyncWrites(),
			kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": never}))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil && b.dir != nil {
		return fmt.Errorf("data directory %s: %w", b.dir.path, err)
	}
	if err != nil {
		return err
	}
	b.cluster = cluster
	shareFetches(cluster)
	if err := errors.Join(b.createTopics(cfg.Topics), b.gate.err()); err != nil {
		cluster.Close()
		return err
	}
	b.gate.armed.Store(true)
	return nil
}

// never is 100 years in milliseconds.
const never = "3153600000000"

// createTopics creates those that are missing.
func (b *Broker) createTopics(topics []Topic) error {
	for _, t := range topics {
		if b.cluster.TopicInfo(t.Name) != nil {
			continue
		}
		configs := map[string]string{}
		if t.Compacted {
			configs["cleanup.policy"] = "compact"
		}
		if err := b.cluster.CreateTopic(t.Name, t.Partitions, configs); err != nil {
			return fmt.Errorf("create topic %s: %w", t.Name, err)
		}
	}
	return nil
}

// Addr is the address to connect to, host:port.
func (b *Broker) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)) }

// Port listened on.
func (b *Broker) Port() int { return b.port }

// PortTaken says whether the wanted port was taken by someone else.
func (b *Broker) PortTaken() bool { return b.wanted != 0 && b.port != b.wanted }

// Cluster gives access to kfake's faults, for tests.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Failed is closed when the broker has stopped because its disk failed.
func (b *Broker) Failed() <-chan struct{} { return b.gate.failed }

// Err is why it failed, nil if it has not.
func (b *Broker) Err() error { return b.gate.err() }

// Close saves what is needed for a quick start and stops. After a failure the
// directory is left as after a crash, for the next Start to recover.
func (b *Broker) Close() error {
	b.closing.Do(func() {
		if b.gate.disarm() {
			b.cluster.Close()
		}
		b.gate.shut()
		b.err = errors.Join(b.gate.err(), b.dir.unlock())
	})
	return b.err
}
