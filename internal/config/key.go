package config

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// key is one setting.
type key struct {
	path  string
	value value
	need  bool // must be set, if its section is there
}

// Words that settings choose from.
var (
	durabilities = []string{"disk", "memory"}
	clocks       = []string{"wall", "replay"}
	deliveries   = []string{"exactly_once", "at_least_once"}
	gaps         = []string{"stop", "skip"}
	mechanisms   = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
	levels       = []string{"debug", "info", "warn", "error"}
	formats      = []string{"json", "text"}
)

// Limits of what can be set.
const (
	maxGroups    = 64
	maxShards    = 1 << 16
	maxRecord    = 1 << 20
	minRecord    = 1 << 10
	minHotMemory = 1 << 20
	minLog       = 1 << 20
)

// allKeys are all settings with their defaults, in the order in which they are
// printed.
func (c *Config) allKeys(p *optional, topics map[string]string) []key {
	n, cl, k, l := &c.Node, &c.Cluster, &c.Kafka, &c.Limits
	keys := []key{
		{"node.id", text(&n.ID, "", name), true},
		{"node.data", text(&n.Data, "", nil), true},
		{"node.peer", text(&n.Peer, "127.0.0.1:8471", address), false},
		{"node.http", text(&n.HTTP, ":8470", listenAddress), false},

		{"cluster.name", text(&cl.Name, "", name), true},
		{"cluster.shards", number(&cl.Shards, 256, 1, maxShards), false},
		{"cluster.groups", number(&cl.Groups, 1, 1, maxGroups), false},
		{"cluster.durability", choice(&cl.Durability, durabilities...), false},
		{"cluster.clock", choice(&cl.Clock, clocks...), false},
		{"cluster.join", list(&cl.Join, address), false},

		{"kafka.brokers", list(&k.Brokers, address), true},
		{"kafka.delivery", choice(&k.Delivery, deliveries...), false},
		{"kafka.group", text(&k.Group, "anabranch", topicName), false},
		{"kafka.on_gap", choice(&k.OnGap, gaps...), false},
		{"kafka.lateness", duration(&k.Lateness, 10*time.Second, time.Millisecond, 24*time.Hour), false},
		{"kafka.tls.ca_file", text(&p.kafkaTLS.CA, "", nil), false},
		{"kafka.tls.cert_file", text(&p.kafkaTLS.Cert, "", nil), false},
		{"kafka.tls.key_file", text(&p.kafkaTLS.Key, "", nil), false},
		{"kafka.sasl.mechanism", needed(choice(&p.sasl.Mechanism, mechanisms...)), true},
		{"kafka.sasl.user", text(&p.sasl.User, "", nil), true},
		{"kafka.sasl.password_file", text(&p.sasl.PasswordFile, "", nil), true},
	}
	for _, alias := range slices.Sorted(maps.Keys(topics)) {
		keys = append(keys, key{"topics." + alias, entry(c.Topics, alias, topics[alias], topicName), false})
	}
	return append(keys,
		key{"http.tls.cert_file", text(&p.httpTLS.Cert, "", nil), true},
		key{"http.tls.key_file", text(&p.httpTLS.Key, "", nil), true},
		key{"http.auth.tokens_file", text(&c.HTTP.TokensFile, "", nil), true},
		key{"privacy.pseudonym_key_file", text(&c.Privacy.KeyFile, "", nil), false},
		key{"peer.tls.ca_file", text(&p.peerTLS.CA, "", nil), true},
		key{"peer.tls.cert_file", text(&p.peerTLS.Cert, "", nil), true},
		key{"peer.tls.key_file", text(&p.peerTLS.Key, "", nil), true},
		key{"limits.record", size(&l.Record, maxRecord, minRecord, maxRecord), false},
		key{"limits.hot_memory", size(&l.HotMemory, 2<<30, minHotMemory, 1<<50), false},
		key{"limits.log", size(&l.Log, 64<<20, minLog, 1<<40), false},
		key{"limits.request_rate", number(&l.RequestRate, 5000, 1, 1_000_000), false},
		key{"log.level", defaulted(choice(&c.Log.Level, levels...), "info"), false},
		key{"log.format", choice(&c.Log.Format, formats...), false},
	)
}

// key is the setting with a path, nil if there is none.
func (c *Config) key(path string) *key {
	if i := slices.IndexFunc(c.keys, func(k key) bool { return k.path == path }); i >= 0 {
		return &c.keys[i]
	}
	return nil
}

// children are what a section may hold, in order. "" is the file itself.
func (c *Config) children(section string) (names []string) {
	prefix := section
	if section != "" {
		prefix += "."
	}
	for _, k := range c.keys {
		if rest, ok := strings.CutPrefix(k.path, prefix); ok {
			name, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// parent is the section of a key or section.
func parent(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i]
	}
	return ""
}

// given says whether a section is in the file, or one of its keys in the
// environment.
func (c *Config) given(section string) bool {
	if _, ok := c.sections[section]; ok {
		return true
	}
	for path := range c.origins {
		if strings.HasPrefix(path, section+".") {
			return true
		}
	}
	return false
}

// variable is the name under which a setting is in the environment.
func variable(path string) string {
	return "ANABRANCH_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(path))
}

// Keys lists the paths of all settings but the topics'.
func Keys() (paths []string) {
	for _, k := range new(Config).allKeys(&optional{}, nil) {
		paths = append(paths, k.path)
	}
	return paths
}
