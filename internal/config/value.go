package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is where a setting goes. Its default is there before it is set.
type value interface {
	// set takes a text. What can't be right is refused with what is wanted.
	set(text string) error
	// show is the value as it is written in a file, "" if there is none.
	show() string
}

// textValue is a text that a check, if there is one, lets through.
type textValue struct {
	p     *string
	check func(string) error
}

func text(p *string, def string, check func(string) error) value {
	*p = def
	return textValue{p, check}
}

func (v textValue) set(s string) error {
	if v.check != nil {
		if err := v.check(s); err != nil {
			return err
		}
	}
	*v.p = s
	return nil
}

func (v textValue) show() string { return *v.p }

// choice is one of several words; the first is the default.
func choice(p *string, words ...string) value {
	*p = words[0]
	return textValue{p, func(s string) error {
		if !slices.Contains(words, s) {
			last := len(words) - 1
			return fmt.Errorf("%q is not %s or %s", s, strings.Join(words[:last], ", "), words[last])
		}
		return nil
	}}
}

// needed takes the default of a value away.
func needed(v value) value { return defaulted(v, "") }

// defaulted gives a text another default.
func defaulted(v value, def string) value {
	*v.(textValue).p = def
	return v
}

// numberValue is a whole number in a range.
type numberValue struct {
	p        *int
	min, max int
}

func number(p *int, def, least, most int) value {
	*p = def
	return numberValue{p, least, most}
}

func (v numberValue) set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < v.min || n > v.max {
		return fmt.Errorf("%q is not a number from %d to %d", s, v.min, v.max)
	}
	*v.p = n
	return nil
}

func (v numberValue) show() string { return strconv.Itoa(*v.p) }

// durationValue is a time with its unit, such as 500ms.
type durationValue struct {
	p        *time.Duration
	min, max time.Duration
}

func duration(p *time.Duration, def, least, most time.Duration) value {
	*p = def
	return durationValue{p, least, most}
}

func (v durationValue) set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a time with a unit, such as 500ms or 10s", s)
	}
	if d < v.min || d > v.max {
		return fmt.Errorf("%q is not from %v to %v", s, v.min, v.max)
	}
	*v.p = d
	return nil
}

func (v durationValue) show() string {
	s := v.p.String()
	for _, zero := range []string{"m0s", "h0m"} { // 1h0m0s is 1h
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// sizeValue is a number of bytes with its unit, such as 64MiB.
type sizeValue struct {
	p        *int64
	min, max int64
}

var units = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func size(p *int64, def, least, most int64) value {
	*p = def
	return sizeValue{p, least, most}
}

func (v sizeValue) set(s string) error {
	n, err := parseSize(s)
	if err != nil {
		return err
	}
	if n < v.min || n > v.max {
		return fmt.Errorf("%q is not from %s to %s", s, showSize(v.min), showSize(v.max))
	}
	*v.p = n
	return nil
}

func (v sizeValue) show() string { return showSize(*v.p) }

func parseSize(s string) (int64, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, fmt.Errorf("%q is not a size with a unit of B, KiB, MiB, GiB or TiB, such as 64MiB", s)
}

func showSize(n int64) string {
	for _, u := range units {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return "0B"
}

// listValue is a list of texts. In the environment commas separate them.
type listValue struct {
	p     *[]string
	check func(string) error
}

func list(p *[]string, check func(string) error) value { return &listValue{p, check} }

func (v *listValue) set(s string) error {
	v.clear()
	var faults []error
	for one := range strings.SplitSeq(s, ",") {
		faults = append(faults, v.add(strings.TrimSpace(one)))
	}
	return errors.Join(faults...)
}

func (v *listValue) clear() { *v.p = nil }

// add appends one.
func (v *listValue) add(s string) error {
	if err := v.check(s); err != nil {
		return err
	}
	if slices.Contains(*v.p, s) {
		return fmt.Errorf("%s is in the list twice", s)
	}
	*v.p = append(*v.p, s)
	return nil
}

func (v *listValue) show() string {
	if len(*v.p) == 0 {
		return ""
	}
	quoted := make([]string, len(*v.p))
	for i, s := range *v.p {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// entryValue is a text in a map.
type entryValue struct {
	m     map[string]string
	key   string
	check func(string) error
}

func entry(m map[string]string, key, def string, check func(string) error) value {
	m[key] = def
	return entryValue{m, key, check}
}

func (v entryValue) set(s string) error {
	if err := v.check(s); err != nil {
		return err
	}
	v.m[v.key] = s
	return nil
}

func (v entryValue) show() string { return v.m[v.key] }

var (
	names      = regexp.MustCompile(`^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,63}$`)
	topicNames = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)
)

func name(s string) error {
	if !names.MatchString(s) {
		return fmt.Errorf("%q is not a name of 1 to 64 letters, digits, dots, dashes or underscores", s)
	}
	return nil
}

func topicName(s string) error {
	if !topicNames.MatchString(s) || s == "." || s == ".." {
		return fmt.Errorf("%q is not a name of 1 to 249 letters, digits, dots, dashes or underscores", s)
	}
	return nil
}

// address is where something can be reached.
func address(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || !isPort(port, 1) {
		return fmt.Errorf("%q is not HOST:PORT", s)
	}
	return nil
}

// listenAddress is where to listen: without a host on all addresses, with port
// 0 on any free one.
func listenAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil || !isPort(port, 0) {
		return fmt.Errorf("%q is not HOST:PORT or :PORT", s)
	}
	return nil
}

func isPort(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= least && n <= 65535
}
