package config

import (
	"fmt"
	"os"
	"time"
)

// Config is what is in force. It is valid: [Load] returns no other.
type Config struct {
	Node    Node
	Cluster Cluster
	Kafka   Kafka
	Topics  map[string]string // alias → Kafka's name, of all topics
	HTTP    HTTP
	Privacy Privacy
	Peer    Peer
	Limits  Limits
	Log     Log

	keys     []key
	origins  map[string]Origin // by path, of what was set
	sections map[string]Origin // by path, of the sections that were given
	file     string
}

// Node is this process.
type Node struct {
	ID   string
	Data string // directory
	Peer string // host:port, listened on and told to the other nodes
	HTTP string // host:port, listened on
}

// Cluster is what all its nodes agree about, but for Durability.
type Cluster struct {
	Name           string
	Shards, Groups int
	Durability     string
	Clock          string
	Join           []string // peer addresses of all nodes; empty: a cluster of one
}

// Kafka is how events come in and decisions go out.
type Kafka struct {
	Brokers  []string
	Delivery string
	Group    string
	OnGap    string
	Lateness time.Duration
	TLS      *Files // nil: plain text
	SASL     *SASL  // nil: none
}

// SASL authenticates at the brokers.
type SASL struct{ Mechanism, User, PasswordFile string }

// Files are the PEM files of a TLS connection.
type Files struct{ CA, Cert, Key string }

// HTTP is the API.
type HTTP struct {
	TLS        *Files // without CA; nil: plain text
	TokensFile string // "": nobody is asked for a token
}

// Privacy is how people are pseudonymised.
type Privacy struct{ KeyFile string }

// Peer is the traffic between nodes.
type Peer struct {
	TLS *Files // nil: plain text
}

// Limits of this node.
type Limits struct {
	Record      int64 // bytes of an incoming record
	HotMemory   int64 // bytes of decoded rows
	Log         int64 // bytes of log after which a group takes a snapshot
	RequestRate int   // API requests per second
}

// Log is what the process says of itself.
type Log struct{ Level, Format string }

// Options of Load.
type Options struct {
	// Topics are the aliases that may be set under topics, with the names that
	// they have otherwise.
	Topics map[string]string
	// Environment looks a variable up. Default: os.LookupEnv.
	Environment func(name string) (string, bool)
}

// Load reads a file. An error that wraps [*Faults] tells everything that is
// wrong with it.
func Load(path string, o Options) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, text, o)
}

// Parse is Load of a text; path is how its faults name it.
func Parse(path string, text []byte, o Options) (*Config, error) {
	if o.Environment == nil {
		o.Environment = os.LookupEnv
	}
	c := &Config{Topics: map[string]string{}, file: path, origins: map[string]Origin{}, sections: map[string]Origin{}}
	parts := &optional{}
	c.keys = c.allKeys(parts, o.Topics)
	f := &Faults{File: path}
	if !c.readFile(text, f) {
		return nil, f
	}
	c.readEnvironment(o.Environment, f)
	c.takeParts(parts)
	c.checkRequired(f)
	if len(f.List) == 0 {
		// What is no value can't be compared with another one.
		c.checkTogether(f)
	}
	if len(f.List) > 0 {
		f.sort()
		return nil, f
	}
	return c, nil
}

// optional holds the sections that may be absent while they are read.
type optional struct {
	kafkaTLS, httpTLS, peerTLS Files
	sasl                       SASL
}

// takeParts keeps the optional sections that were given.
func (c *Config) takeParts(p *optional) {
	if c.given("kafka.tls") {
		c.Kafka.TLS = &p.kafkaTLS
	}
	if c.given("kafka.sasl") {
		c.Kafka.SASL = &p.sasl
	}
	if c.given("http.tls") {
		c.HTTP.TLS = &p.httpTLS
	}
	if c.given("peer.tls") {
		c.Peer.TLS = &p.peerTLS
	}
}
