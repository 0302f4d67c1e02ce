package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/peer"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/metrics"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/topology"
)

// Values of the named settings.
const (
	DurabilityDisk   = "disk"   // every log append is on disk before it counts
	DurabilityMemory = "memory" // the disk follows within 10 ms

	ClockWall   = "wall"   // log time is the leader's clock
	ClockReplay = "replay" // log time is the merge of all inputs by event time

	ExactlyOnce = "exactly_once"  // outgoing records in transactions
	AtLeastOnce = "at_least_once" // lowest latency, consumers deduplicate by id

	GapStop = "stop" // a lost stretch of an input halts that partition until commanded
	GapSkip = "skip" // a lost stretch is recorded and stepped over
)

// Config is everything a node needs. The zero values of fields marked with a
// default get it from [Config.WithDefaults], which [Open] calls.
type Config struct {
	ID      string // name of this node in the cluster
	Dir     string // data directory; created if missing
	Cluster string // name of the cluster; part of transactional ids
	Version string // of this build, shown in Status

	// Peer is the address that the nodes' Raft traffic listens on, host:port.
	// Default 127.0.0.1:8471; port 0 takes a free one.
	Peer string
	// Listener is an open one in place of Peer, for several nodes in one process.
	Listener net.Listener
	// PeerTLS makes nodes show each other certificates. Default: plain TCP.
	PeerTLS *peer.TLS
	// HTTP is where this node's API can be reached, told to the other nodes. It
	// is shown in Nodes and used for nothing else.
	HTTP string
	// Join lists the peer addresses of all nodes of the cluster, this one's
	// included. Empty, or only this node's: a cluster of one, formed at once. A
	// new cluster of several is formed by Init on any of them, once; a node that
	// starts without data finds a formed cluster by them and rejoins it.
	Join []string

	Shards int // slots of the key space, fixed when the cluster is made. Default 256
	Groups int // Raft groups. Default 1

	Durability string // disk (default) or memory
	Clock      string // wall (default) or replay, fixed when the cluster is made
	Delivery   string // exactly_once (default) or at_least_once
	OnGap      string // stop (default) or skip

	Lateness  time.Duration // how far behind the newest event a watermark stays. Default 10 s
	HotMemory int64         // bytes of decoded rows kept in memory, shared by the groups. Default 1 GiB

	MaxOutboxBytes int64 // outbox above which a group pauses its inputs. Default 64 MiB
	// SnapshotBytes of a group's log since its last snapshot make another one
	// due. Default 64 MiB
	SnapshotBytes int64
	MaxRequests   int // commands waiting for a reply at the same time. Default 5,000

	// Fingerprint names the pseudonym key without telling it. It is fixed when
	// the cluster is made: another key would make other people of everybody.
	Fingerprint string

	// Fields picks what of an event a dead letter may show. Default: nothing.
	Fields func(e state.Visitable) []operators.Field

	Plan   *topology.Plan
	Topics map[string]string // alias → Kafka's name, for every topic of the plan
	Codec  state.Codec

	// OpenStore opens (or makes) a group's state in a directory.
	OpenStore func(o StoreOptions) (group.Store, error)
	// NewFetcher makes a connection for reading. It is nil on a node without
	// inputs; then only Submit brings events in.
	NewFetcher func() (connectors.Fetcher, error)
	// NewSink makes the connection that delivers a group's records.
	NewSink func(o SinkOptions) (connectors.Sink, error)
	Decoder connectors.Decoder
	Encoder connectors.Encoder

	Log     *slog.Logger      // default: slog.Default()
	Metrics *metrics.Registry // default: a new one

	// Disk replaces the logs' disk, and Dial what reaches the other nodes'
	// Listeners, for tests.
	Disk func(o *raftlog.Options)
	Dial func(ctx context.Context, address string) (net.Conn, error)

	// knows is the highest feature level that this build knows; another in tests.
	knows uint64
	wall  func() time.Time // the node's clock beside the groups' own, replaced by tests
	// digestEvery is how often digests are compared; shorter in tests.
	digestEvery time.Duration
	// balanceEvery is how often a node looks whether it leads more groups than
	// its share; shorter in tests.
	balanceEvery time.Duration
}

// StoreOptions say which state to open.
type StoreOptions struct {
	Group     int
	Dir       string
	Copy      bool // opened beside the group's state, only to be read through
	Tables    []*state.Table
	HotMemory int64
}

// SinkOptions say for whom a sink delivers.
type SinkOptions struct {
	Cluster     string
	Incarnation uint64
	Group       int
	Groups      int
}

// WithDefaults fills in the documented defaults.
func (c Config) WithDefaults() Config {
	setDefault(&c.Peer, "127.0.0.1:8471")
	setDefault(&c.Shards, 256)
	setDefault(&c.Groups, 1)
	setDefault(&c.Durability, DurabilityDisk)
	setDefault(&c.Clock, ClockWall)
	setDefault(&c.Delivery, ExactlyOnce)
	setDefault(&c.OnGap, GapStop)
	setDefault(&c.Lateness, 10*time.Second)
	setDefault(&c.HotMemory, 1<<30)
	setDefault(&c.MaxOutboxBytes, 64<<20)
	setDefault(&c.SnapshotBytes, 64<<20)
	setDefault(&c.MaxRequests, 5000)
	setDefault(&c.knows, core.Level)
	if c.wall == nil {
		c.wall = time.Now
	}
	setDefault(&c.digestEvery, 5*time.Second)
	setDefault(&c.balanceEvery, 5*time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = metrics.New()
	}
	return c
}

func setDefault[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	oneOf := func(name, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			fault("%s is %q; want %s", name, value, strings.Join(allowed, " or "))
		}
	}
	if !validName(c.ID) {
		fault("node id is %q; want 1 to 64 letters, digits, dots, dashes or underscores", c.ID)
	}
	if !validName(c.Cluster) {
		fault("cluster name is %q; want 1 to 64 letters, digits, dots, dashes or underscores", c.Cluster)
	}
	if c.Dir == "" {
		fault("data directory is not set")
	}
	if c.Groups < 1 || c.Groups > 64 {
		fault("groups is %d; want 1 to 64", c.Groups)
	}
	if c.Shards < 1 || c.Shards+c.Groups > 1<<16 {
		fault("shards is %d; want 1 to %d", c.Shards, 1<<16-c.Groups)
	}
	faults = append(faults, c.validateJoin()...)
	oneOf("durability", c.Durability, DurabilityDisk, DurabilityMemory)
	oneOf("clock", c.Clock, ClockWall, ClockReplay)
	oneOf("delivery", c.Delivery, ExactlyOnce, AtLeastOnce)
	oneOf("on_gap", c.OnGap, GapStop, GapSkip)
	if c.Lateness < 0 {
		fault("lateness is %v; want 0 or more", c.Lateness)
	}
	if c.HotMemory < 1<<20 {
		fault("hot memory is %d bytes; want 1 MiB or more", c.HotMemory)
	}
	if c.MaxOutboxBytes < 1<<20 {
		fault("outbox limit is %d bytes; want 1 MiB or more", c.MaxOutboxBytes)
	}
	if c.SnapshotBytes < 1<<20 {
		fault("log before a snapshot is %d bytes; want 1 MiB or more", c.SnapshotBytes)
	}
	if c.MaxRequests < 1 {
		fault("request limit is %d; want 1 or more", c.MaxRequests)
	}
	faults = append(faults, c.validateParts()...)
	return errors.Join(faults...)
}

// validateJoin checks the addresses of the cluster's nodes.
func (c Config) validateJoin() (faults []error) {
	seen := map[string]bool{}
	for _, address := range c.Join {
		if _, _, err := net.SplitHostPort(address); err != nil {
			faults = append(faults, fmt.Errorf("address %q to join; want host:port", address))
		}
		if seen[address] {
			faults = append(faults, fmt.Errorf("address %s is to be joined twice", address))
		}
		seen[address] = true
	}
	if len(c.Join) == 1 && !c.isOwn(c.Join[0]) {
		faults = append(faults, fmt.Errorf("the only address to join is %s, which is not this node's, %s; name all nodes of the cluster", c.Join[0], c.ownPeer()))
	}
	return faults
}

// ownPeer is the address that this node listens on, as configured.
func (c Config) ownPeer() string {
	if c.Listener != nil {
		return c.Listener.Addr().String()
	}
	return c.Peer
}

// isOwn says whether an address may be this node's: on all interfaces, only the
// port tells.
func (c Config) isOwn(address string) bool {
	host, port, err := net.SplitHostPort(c.ownPeer())
	if err != nil {
		return true // not this fault
	}
	_, joined, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return err != nil || port == joined
	}
	return address == c.ownPeer()
}

// validateParts checks what was handed in ready made.
func (c Config) validateParts() []error {
	var faults []error
	if c.Codec == nil {
		faults = append(faults, errors.New("no codec"))
	}
	if c.OpenStore == nil {
		faults = append(faults, errors.New("no store"))
	}
	if c.NewFetcher != nil && c.Decoder == nil {
		faults = append(faults, errors.New("a fetcher without a decoder"))
	}
	if c.NewSink == nil || c.Encoder == nil {
		faults = append(faults, errors.New("no sink or no encoder"))
	}
	if c.Plan == nil {
		return append(faults, errors.New("no topology"))
	}
	aliasOf := map[string]string{}
	for _, t := range c.Plan.Topics {
		name := c.Topics[t.Alias]
		if name == "" {
			faults = append(faults, fmt.Errorf("topic %s has no Kafka name", t.Alias))
			continue
		}
		if other, taken := aliasOf[name]; taken {
			faults = append(faults, fmt.Errorf("topics %s and %s have the same Kafka name %s", other, t.Alias, name))
		}
		aliasOf[name] = t.Alias
	}
	for _, alias := range slices.Sorted(maps.Keys(c.Topics)) {
		if !slices.ContainsFunc(c.Plan.Topics, func(t topology.Topic) bool { return t.Alias == alias }) {
			faults = append(faults, fmt.Errorf("topic %s is not in the topology", alias))
		}
	}
	return faults
}

// validName says whether s can stand in file names and transactional ids.
func validName(s string) bool {
	if s == "" || len(s) > 64 || strings.HasPrefix(s, ".") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	})
}
