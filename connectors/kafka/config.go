package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"time"
)

// Delivery is how records reach Kafka.
type Delivery string

const (
	// ExactlyOnce writes records and progress in transactions.
	ExactlyOnce Delivery = "exactly_once"
	// AtLeastOnce uses an idempotent producer without transactions: the
	// lowest latency, and after a change of leader records may come twice.
	AtLeastOnce Delivery = "at_least_once"
)

// SASL mechanisms.
const (
	MechanismPlain       = "PLAIN"
	MechanismScramSHA256 = "SCRAM-SHA-256"
	MechanismScramSHA512 = "SCRAM-SHA-512"
)

// Defaults of a Config.
const (
	DefaultTransactionTimeout = 10 * time.Second
	DefaultFetchBytes         = 8 << 20
	DefaultFetchWait          = 100 * time.Millisecond
	DefaultGroup              = "anabranch"
)

// Config says how to reach Kafka and under which names to write to it. The
// zero value of a field means its default.
type Config struct {
	// Brokers to ask first, host:port each. Required.
	Brokers []string
	// Cluster is the name of our cluster. It is part of transactional ids and
	// of the progress topic's name. Required for a Sink.
	Cluster string
	// Incarnation of the cluster. Required for a Sink.
	Incarnation uint64
	// Delivery, ExactlyOnce by default.
	Delivery Delivery
	// Group is the consumer group that offsets are committed to for lag
	// dashboards, DefaultGroup by default.
	Group string
	// TransactionTimeout is how long the broker keeps a transaction open whose
	// producer is gone, and how long a Send may take to produce. 10 s by
	// default: meanwhile readers of the same partitions wait.
	TransactionTimeout time.Duration
	// FetchBytes bounds one answer of one broker, 8 MiB by default. At most
	// two answers per broker are held: one handed out, one in flight. A
	// single larger batch is still read.
	FetchBytes int32
	// FetchWait is how long a broker holds a request that finds nothing, 100
	// ms by default. New records end the wait at once; a newly assigned
	// partition waits for it.
	FetchWait time.Duration
	// TLS is nil for plain text.
	TLS *TLS
	// SASL is nil for no authentication.
	SASL *SASL

	// dial replaces the network in tests.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// TLS names the files of a TLS connection. All are optional: without a CA file
// the system's certificates are trusted, without a certificate none is shown.
type TLS struct {
	CAFile     string
	CertFile   string
	KeyFile    string
	ServerName string // checked instead of the broker's host name
}

// SASL authenticates by user and password.
type SASL struct {
	Mechanism    string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User         string
	Password     string
	PasswordFile string // instead of Password; a newline at its end is dropped
}

// clusterName keeps topic names and transactional ids legal and short.
var clusterName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,100}$`)

// Validate reports every fault of the configuration at once.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		fault("kafka.brokers is empty")
	}
	if slices.Contains(c.Brokers, "") {
		fault("kafka.brokers has an empty address")
	}
	if c.Cluster != "" && !clusterName.MatchString(c.Cluster) {
		fault("cluster.name %q must be 1 to 100 letters, digits, dots, dashes or underscores", c.Cluster)
	}
	switch c.Delivery {
	case "", ExactlyOnce, AtLeastOnce:
	default:
		fault("kafka.delivery %q is neither %s nor %s", c.Delivery, ExactlyOnce, AtLeastOnce)
	}
	if c.TransactionTimeout < 0 || c.TransactionTimeout > 15*time.Minute {
		fault("kafka.transaction_timeout %v is not between 0 and 15m", c.TransactionTimeout)
	}
	if c.FetchBytes < 0 {
		fault("kafka.fetch_bytes %d is negative", c.FetchBytes)
	}
	if c.FetchWait < 0 || c.FetchWait > time.Second {
		fault("kafka.fetch_wait %v is not between 0 and 1s", c.FetchWait)
	}
	if c.TLS != nil && (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		fault("kafka.tls needs both cert_file and key_file, or neither")
	}
	faults = append(faults, c.SASL.faults()...)
	return errors.Join(faults...)
}

func (s *SASL) faults() []error {
	if s == nil {
		return nil
	}
	var faults []error
	switch s.Mechanism {
	case MechanismPlain, MechanismScramSHA256, MechanismScramSHA512:
	default:
		faults = append(faults, fmt.Errorf("kafka.sasl.mechanism %q is not one of %s, %s, %s",
			s.Mechanism, MechanismPlain, MechanismScramSHA256, MechanismScramSHA512))
	}
	if s.User == "" {
		faults = append(faults, errors.New("kafka.sasl.user is empty"))
	}
	if (s.Password == "") == (s.PasswordFile == "") {
		faults = append(faults, errors.New("kafka.sasl needs either password or password_file"))
	}
	return faults
}

// withDefaults returns a copy with defaults filled in.
func (c Config) withDefaults() Config {
	if c.Delivery == "" {
		c.Delivery = ExactlyOnce
	}
	if c.Group == "" {
		c.Group = DefaultGroup
	}
	if c.TransactionTimeout == 0 {
		c.TransactionTimeout = DefaultTransactionTimeout
	}
	if c.FetchBytes == 0 {
		c.FetchBytes = DefaultFetchBytes
	}
	if c.FetchWait == 0 {
		c.FetchWait = DefaultFetchWait
	}
	return c
}
