package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"path"
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"
)

// DefaultBlocked are the values that people and programs type when there is no
// identifier. Values without any letter or digit other than 0 are always
// blocked.
var DefaultBlocked = []string{
	"null", "nil", "none", "n/a", "na", "nan", "undefined", "unknown", "anonymous", "anon", "guest", "no*reply@*",
}

// Privacy configures a [Pseudonymiser].
type Privacy struct {
	// Key is required.
	Key Key
	// Region is the country (ISO 3166, such as "CN") that phone numbers without
	// a country code belong to. Without it they are kept as typed.
	Region string
	// Blocked are patterns of values that identify nobody, compared as
	// typed and as normalised, without regard to case: * stands for any characters but /, ? for one, [a-z] for
	// one of a range. Nil: [DefaultBlocked].
	Blocked []string
}

// Validate reports every fault.
func (c *Privacy) Validate() error {
	var faults []error
	if len(c.Key.secret) < MinKeyBytes {
		faults = append(faults, fmt.Errorf("%w: missing", ErrKey))
	}
	if c.Region != "" && !phonenumbers.GetSupportedRegions()[c.Region] {
		faults = append(faults, fmt.Errorf("privacy: region %q is not a country code such as CN", c.Region))
	}
	for _, pattern := range c.Blocked {
		if _, err := path.Match(pattern, ""); err != nil {
			faults = append(faults, fmt.Errorf("privacy: blocked value %q: %w", pattern, err))
		}
	}
	return errors.Join(faults...)
}

// Pseudonymiser replaces identifiers of persons by keyed pseudonyms: the first
// 16 bytes of HMAC-SHA-256 over type and normalised value, in hexadecimal. Who
// has no key can neither turn them back nor test a guess.
type Pseudonymiser struct {
	region  string
	words   map[string]bool // blocked values without wildcards
	globs   []string        // blocked patterns
	macs    sync.Pool       // of *mac
	printed string
}

// mac is a keyed hash and the memory of its use.
type mac struct {
	hash hash.Hash
	in   []byte
	sum  [sha256.Size]byte
}

// NewPseudonymiser makes a Pseudonymiser.
func NewPseudonymiser(cfg Privacy) (*Pseudonymiser, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Pseudonymiser{region: cfg.Region, words: map[string]bool{}, printed: cfg.Key.Fingerprint()}
	p.macs.New = func() any { return &mac{hash: hmac.New(sha256.New, cfg.Key.secret)} }
	blocked := cfg.Blocked
	if blocked == nil {
		blocked = DefaultBlocked
	}
	for _, pattern := range blocked {
		pattern = strings.ToLower(pattern)
		if strings.ContainsAny(pattern, `*?[\`) {
			p.globs = append(p.globs, pattern)
		} else {
			p.words[pattern] = true
		}
	}
	return p, nil
}

// Fingerprint is the key's.
func (p *Pseudonymiser) Fingerprint() string { return p.printed }

// Pseudonym returns the pseudonym of an identifier as it is typed, for looking
// a person up. It is false if the type is no word or the value identifies
// nobody.
func (p *Pseudonymiser) Pseudonym(typ, value string) (string, bool) {
	t, ok := appendType(nil, []byte(typ))
	if !ok {
		return "", false
	}
	b, ok := p.appendPseudonym(nil, string(t), value)
	return string(b), ok
}

// appendPseudonym appends the pseudonym of a value of a type, unless the value
// is blocked.
func (p *Pseudonymiser) appendPseudonym(b []byte, typ, value string) ([]byte, bool) {
	if value = strings.TrimSpace(value); !says(value) || p.blocked(value) {
		return b, false
	}
	if value = normalise(typ, value, p.region); p.blocked(value) {
		return b, false
	}
	m := p.macs.Get().(*mac)
	defer p.macs.Put(m)
	m.in = append(append(append(m.in[:0], typ...), 0), value...)
	m.hash.Reset()
	m.hash.Write(m.in)
	clear(m.in)
	sum := m.hash.Sum(m.sum[:0])
	return hex.AppendEncode(b, sum[:16]), true
}

func (p *Pseudonymiser) blocked(value string) bool {
	value = strings.ToLower(value)
	if p.words[value] {
		return true
	}
	for _, glob := range p.globs {
		if ok, _ := path.Match(glob, value); ok { // its syntax was checked
			return true
		}
	}
	return false
}
