package apachekafka

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// logging sends what is out of the ordinary to the output, which is kept in a file.
const logging = `status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
`

// properties are a broker's settings. They are Kafka's own defaults but for
// what three processes on one small machine need: short timeouts, because a
// broker that was killed must be missed soon, and few threads and small buffers.
func (c *Cluster) properties(b *broker) map[string]string {
	n := len(c.brokers)
	inSync := (n + 1) / 2
	var listeners, advertised, protocol, voters []string
	for l, port := range b.ports {
		at := fmt.Sprintf("%s://%s", l, address(port))
		listeners = append(listeners, at)
		if l != controller {
			advertised = append(advertised, at)
		}
		protocol = append(protocol, fmt.Sprintf("%s:%s", l, protocols[l]))
	}
	for _, peer := range c.brokers {
		voters = append(voters, fmt.Sprintf("%d@%s", peer.id, address(peer.ports[controller])))
	}
	p := map[string]string{
		"process.roles":                            "broker,controller",
		"node.id":                                  strconv.Itoa(b.id),
		"controller.quorum.voters":                 strings.Join(voters, ","),
		"listeners":                                strings.Join(listeners, ","),
		"advertised.listeners":                     strings.Join(advertised, ","),
		"controller.listener.names":                string(controller),
		"inter.broker.listener.name":               string(Plain),
		"listener.security.protocol.map":           strings.Join(protocol, ","),
		"log.dirs":                                 b.data,
		"default.replication.factor":               strconv.Itoa(n),
		"min.insync.replicas":                      strconv.Itoa(inSync),
		"offsets.topic.replication.factor":         strconv.Itoa(n),
		"offsets.topic.num.partitions":             "4",
		"transaction.state.log.replication.factor": strconv.Itoa(n),
		"transaction.state.log.min.isr":            strconv.Itoa(inSync),
		"transaction.state.log.num.partitions":     "4",
		"group.initial.rebalance.delay.ms":         "0",
		"auto.create.topics.enable":                "false",
		"broker.session.timeout.ms":                "3000",
		"broker.heartbeat.interval.ms":             "500",
		"controller.quorum.fetch.timeout.ms":       "1000",
		"controller.quorum.election.timeout.ms":    "500",
		"num.network.threads":                      "2",
		"num.io.threads":                           "4",
		"log.cleaner.dedupe.buffer.size":           "4194304",
	}
	if c.cfg.Secure {
		c.secure(p)
	}
	for name, value := range c.cfg.Properties {
		p[name] = value
	}
	return p
}

// secure adds certificates and passwords. Keys are in PEM files, which Kafka
// reads like its own key stores.
func (c *Cluster) secure(p map[string]string) {
	p["ssl.keystore.type"] = "PEM"
	p["ssl.keystore.location"] = c.path(brokerPEM)
	p["ssl.truststore.type"] = "PEM"
	p["ssl.truststore.location"] = c.path(caPEM)
	p["listener.name.mtls.ssl.client.auth"] = "required"
	p["sasl.enabled.mechanisms"] = "SCRAM-SHA-512"
	for _, l := range []Listener{Scram, ScramTLS} {
		p["listener.name."+strings.ToLower(string(l))+".scram-sha-512.sasl.jaas.config"] =
			"org.apache.kafka.common.security.scram.ScramLoginModule required;"
	}
}

// writeProperties writes the file that a broker is started with.
func (c *Cluster) writeProperties(b *broker) error {
	var lines []string
	for name, value := range c.properties(b) {
		lines = append(lines, name+"="+value+"\n")
	}
	slices.Sort(lines)
	return os.WriteFile(b.config, []byte(strings.Join(lines, "")), 0o644)
}

func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }
