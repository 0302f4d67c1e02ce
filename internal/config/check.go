package config

import (
	"net"
	"slices"
)

// checkRequired wants what has no default.
func (c *Config) checkRequired(f *Faults) {
	for _, k := range c.keys {
		section := parent(k.path)
		if _, set := c.origins[k.path]; set || !k.need || !(always(section) || c.given(section)) {
			continue
		}
		f.add(c.where(section), "%s is missing", k.path)
	}
}

// always says whether a section must be there.
func always(section string) bool {
	return slices.Contains([]string{"node", "cluster", "kafka"}, section)
}

// where is the place of a key or section: its own, or that of what it would be
// in, or the file.
func (c *Config) where(path string) Origin {
	for ; path != ""; path = parent(path) {
		if o, ok := c.origins[path]; ok {
			return o
		}
		if o, ok := c.sections[path]; ok {
			return o
		}
	}
	return Origin{File: c.file}
}

// checkTogether finds values that are right alone and impossible together.
func (c *Config) checkTogether(f *Faults) {
	c.checkJoin(f)
	c.checkTLS(f)
	c.checkTopics(f)
	if c.Cluster.Groups > c.Cluster.Shards {
		f.add(c.where("cluster.groups"), "cluster.groups: %d groups can't share %d shards", c.Cluster.Groups, c.Cluster.Shards)
	}
	if c.Cluster.Shards+c.Cluster.Groups > maxShards {
		f.add(c.where("cluster.shards"), "cluster.shards: %d shards and %d groups are more than %d", c.Cluster.Shards, c.Cluster.Groups, maxShards)
	}
	if samePort(c.Node.HTTP, c.Node.Peer) {
		f.add(c.where("node.http"), "node.http: %s is taken by node.peer %s", c.Node.HTTP, c.Node.Peer)
	}
}

func (c *Config) checkJoin(f *Faults) {
	join := c.Cluster.Join
	if len(join) > 0 && !slices.Contains(join, c.Node.Peer) {
		f.add(c.where("cluster.join"), "cluster.join: this node's own address, node.peer %s, is not among them", c.Node.Peer)
	}
	if host, _, err := net.SplitHostPort(c.Node.Peer); err == nil {
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			f.add(c.where("node.peer"), "node.peer: %s is no address by which other nodes reach this one", c.Node.Peer)
		}
	}
	if len(join) > 1 && c.Privacy.KeyFile == "" {
		f.add(c.where("privacy.pseudonym_key_file"), "privacy.pseudonym_key_file is missing: all %d nodes must hold the same key; "+
			"make one with 'anabranch key create FILE' and copy it to each", len(join))
	}
}

func (c *Config) checkTLS(f *Faults) {
	if t := c.Kafka.TLS; t != nil && (t.Cert == "") != (t.Key == "") {
		f.add(c.where("kafka.tls"), "kafka.tls: cert_file and key_file go together")
	}
}

func (c *Config) checkTopics(f *Faults) {
	used := map[string]string{}
	for _, k := range c.keys {
		if parent(k.path) != "topics" || k.value.show() == "" {
			continue
		}
		name := k.value.show()
		if other, taken := used[name]; taken {
			f.add(c.where(k.path), "%s: %s is %s already", k.path, name, other)
		}
		used[name] = k.path
	}
}

// samePort says whether two addresses can't be listened on both.
func samePort(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	all := func(host string) bool { ip := net.ParseIP(host); return host == "" || ip != nil && ip.IsUnspecified() }
	return hostA == hostB || all(hostA) || all(hostB)
}
