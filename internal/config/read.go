package config

import (
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// readFile takes what the file says. It is false if that is not even YAML.
func (c *Config) readFile(text []byte, f *Faults) bool {
	var doc yaml.Node
	loader, err := yaml.NewLoader(strings.NewReader(string(text)))
	if err == nil {
		err = loader.Load(&doc)
	}
	if errors.Is(err, io.EOF) {
		return true // an empty file: what it lacks is found later
	}
	if err != nil {
		c.notYAML(err, f)
		return false
	}
	var second yaml.Node
	if err := loader.Load(&second); err == nil {
		f.add(c.at(&second), "a second document; a configuration is one")
	} else if !errors.Is(err, io.EOF) {
		c.notYAML(err, f)
		return false
	}
	root := &doc
	if root.Kind == yaml.DocumentNode {
		root = root.Content[0]
	}
	c.readSection("", root, f)
	return true
}

// notYAML reports what the parser says. It stops at the first fault.
func (c *Config) notYAML(err error, f *Faults) {
	var all *yaml.LoadErrors
	var one *yaml.LoadError
	switch {
	case errors.As(err, &all):
		for _, e := range all.Errors {
			f.add(Origin{File: c.file, Line: e.Mark.Line, Column: e.Mark.Column}, "not YAML: %s", e.Message)
		}
	case errors.As(err, &one):
		f.add(Origin{File: c.file, Line: one.Mark.Line, Column: one.Mark.Column}, "not YAML: %s", one.Message)
	default:
		f.add(Origin{File: c.file}, "not YAML: %v", err)
	}
}

func (c *Config) at(n *yaml.Node) Origin {
	return Origin{File: c.file, Line: n.Line, Column: n.Column}
}

// readSection takes a mapping of keys and sections.
func (c *Config) readSection(path string, n *yaml.Node, f *Faults) {
	n = target(n)
	if isNull(n) && path == "" {
		return // only comments
	}
	if n.Kind != yaml.MappingNode {
		f.add(c.at(n), "%swant keys: %s", prefixed(path), strings.Join(c.children(path), ", "))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		at := name.Value
		if path != "" {
			at = path + "." + name.Value
		}
		if line, ok := seen[name.Value]; ok {
			f.add(c.at(name), "%s is set twice, first in line %d", at, line)
			continue
		}
		seen[name.Value] = name.Line
		switch {
		case c.key(at) != nil:
			c.readValue(c.key(at), value, f)
		case name.Value != "" && len(c.children(at)) > 0:
			c.sections[at] = c.at(name)
			c.readSection(at, value, f)
		default:
			f.add(c.at(name), "%s is unknown; %s are %s", at, known(path), strings.Join(c.children(path), ", "))
		}
	}
}

// known says what the keys of a section are.
func known(section string) string {
	if section == "" {
		return "the keys"
	}
	return "the keys of " + section
}

func prefixed(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// readValue takes the value of a key.
func (c *Config) readValue(k *key, n *yaml.Node, f *Faults) {
	c.origins[k.path] = c.at(n)
	n = target(n)
	many, isList := k.value.(*listValue)
	switch {
	case isNull(n), k.need && n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		f.add(c.at(n), "%s has no value", k.path)
	case isList && n.Kind == yaml.SequenceNode:
		many.clear()
		for _, one := range n.Content {
			c.readOne(k.path, target(one), many.add, f)
		}
	case isList:
		f.add(c.at(n), "%s: want a list, such as [a, b]", k.path)
	default:
		c.readOne(k.path, n, k.value.set, f)
	}
}

func (c *Config) readOne(path string, n *yaml.Node, set func(string) error, f *Faults) {
	if n.Kind != yaml.ScalarNode {
		f.add(c.at(n), "%s: want one value", path)
		return
	}
	if isNull(n) || n.Value == "" {
		f.add(c.at(n), "%s has no value", path)
		return
	}
	if err := set(n.Value); err != nil {
		f.add(c.at(n), "%s: %v", path, err)
	}
}

// target is what a node stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// readEnvironment takes what the environment says.
func (c *Config) readEnvironment(lookup func(string) (string, bool), f *Faults) {
	for _, k := range c.keys {
		name := variable(k.path)
		text, ok := lookup(name)
		if !ok {
			continue
		}
		at := Origin{Variable: name}
		c.origins[k.path] = at
		if text == "" {
			f.add(at, "%s has no value", k.path)
		} else if err := k.value.set(text); err != nil {
			f.add(at, "%s: %v", k.path, err)
		}
	}
}
