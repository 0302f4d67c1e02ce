package apachekafka

import (
	"errors"
	"fmt"
)

// Version of Apache Kafka that is run.
const Version = "4.2.0"

// Credentials of the only user of the SCRAM listeners.
const (
	User     = "anabranch"
	Password = "secret-of-a-test"
)

// Listener is a way to connect.
type Listener string

const (
	// Plain is without encryption and password. It is always there.
	Plain Listener = "PLAIN"
	// MutualTLS asks for a client certificate of [Cluster.Certificates].
	MutualTLS Listener = "MTLS"
	// Scram asks for User and Password by SCRAM-SHA-512, in plain text.
	Scram Listener = "SCRAM"
	// ScramTLS asks for the same over TLS.
	ScramTLS Listener = "SCRAMTLS"
)

// controller is the listener between the brokers' controllers.
const controller Listener = "CONTROLLER"

// protocols are Kafka's names for what a listener speaks.
var protocols = map[Listener]string{
	Plain: "PLAINTEXT", MutualTLS: "SSL", Scram: "SASL_PLAINTEXT", ScramTLS: "SASL_SSL", controller: "PLAINTEXT",
}

// QuickJVM makes brokers start fast and stay small, for tests.
var QuickJVM = []string{"-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"}

// ServerJVM is how Kafka's own scripts start a broker, for measurements.
var ServerJVM = []string{"-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
	"-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"}

// Config of a cluster. The zero value is one quick broker with plain text only,
// whose data is gone with it.
type Config struct {
	// Brokers is 1, the default, or 3.
	Brokers int
	// Dir keeps data, properties and output, and a later Start with the same
	// number of brokers goes on with it. Empty: a temporary folder.
	Dir string
	// Port of the first broker's plain listener; the others' follow it. 0
	// takes free ones.
	Port int
	// Secure opens the other listeners too.
	Secure bool
	// JVM are the flags of the Java machine, QuickJVM by default.
	JVM []string
	// Properties are added to a broker's own and win over them.
	Properties map[string]string
}

// Validate reports every fault of the configuration at once.
func (c *Config) Validate() error {
	var faults []error
	if c.Brokers != 0 && c.Brokers != 1 && c.Brokers != 3 {
		faults = append(faults, fmt.Errorf("%d brokers: it must be 1 or 3", c.Brokers))
	}
	if c.Port < 0 || c.Port > 65535-3 {
		faults = append(faults, fmt.Errorf("port %d is not between 0 and 65532", c.Port))
	}
	return errors.Join(faults...)
}

func (c Config) withDefaults() Config {
	if c.Brokers == 0 {
		c.Brokers = 1
	}
	if c.JVM == nil {
		c.JVM = QuickJVM
	}
	return c
}

// listeners that clients may use.
func (c *Config) listeners() []Listener {
	if c.Secure {
		return []Listener{Plain, MutualTLS, Scram, ScramTLS}
	}
	return []Listener{Plain}
}
