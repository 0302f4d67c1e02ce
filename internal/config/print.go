package config

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Print writes what is in force as a configuration file, with where each value
// came from. What has no value is left out.
func (c *Config) Print(w io.Writer) error {
	var lines []line
	c.printSection("", "", &lines)
	width := 0
	for _, l := range lines {
		width = max(width, len(l.text))
	}
	for _, l := range lines {
		text := l.text
		if l.origin != "" {
			text = fmt.Sprintf("%-*s  # %s", width, l.text, l.origin)
		}
		if _, err := fmt.Fprintln(w, text); err != nil {
			return err
		}
	}
	return nil
}

// line is one of a printed configuration.
type line struct{ text, origin string }

func (c *Config) printSection(path, indent string, lines *[]line) {
	for _, name := range c.children(path) {
		at := name
		if path != "" {
			at = path + "." + name
		}
		if k := c.key(at); k != nil {
			if shown := k.value.show(); shown != "" && c.inForce(at) {
				*lines = append(*lines, line{indent + name + ": " + scalar(k.value, shown), c.origins[at].String()})
			}
			continue
		}
		head := len(*lines)
		*lines = append(*lines, line{text: indent + name + ":"})
		c.printSection(at, indent+"  ", lines)
		if len(*lines) > head+1 {
			continue
		}
		if o, ok := c.sections[at]; ok && path != "" {
			// An empty section says something too: TLS with the system's authorities.
			(*lines)[head] = line{indent + name + ": {}", o.String()}
		} else {
			*lines = (*lines)[:head]
		}
	}
}

// inForce says whether a value counts: a default in an optional section that
// was not given does not.
func (c *Config) inForce(path string) bool {
	section := parent(path)
	return parent(section) == "" || c.given(section)
}

// scalar writes a value so that it is read as the same.
func scalar(v value, shown string) string {
	switch v.(type) {
	case *listValue, numberValue:
		return shown
	}
	return quote(shown)
}

// quote writes a text as YAML, in quotes where it would be something else.
func quote(s string) string {
	if strings.ContainsAny(s, ",[]{}#\n") || slices.Contains([]string{"", "~"}, s) {
		return fmt.Sprintf("%q", s)
	}
	b, err := yaml.Marshal(s)
	if err != nil {
		return fmt.Sprintf("%q", s)
	}
	return strings.TrimSpace(string(b))
}
