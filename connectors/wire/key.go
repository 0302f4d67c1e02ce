package wire

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// MinKeyBytes is the least a pseudonym key must have.
const MinKeyBytes = 32

// ErrKey is wrapped by every complaint about a key file.
var ErrKey = errors.New("pseudonym key")

// Key turns identifiers into pseudonyms. All nodes of a cluster must hold the
// same; whoever has it can test guesses, so that it is kept like a password.
type Key struct{ secret []byte }

// LoadKey reads a key file: at least [MinKeyBytes] random bytes, as hexadecimal
// or base64 digits, that nobody but its owner may read.
func LoadKey(path string) (Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if !info.Mode().IsRegular() {
		return Key{}, fmt.Errorf("%w: %s is not a file", ErrKey, path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Key{}, fmt.Errorf("%w: %s has mode %04o: others may read it; run chmod 600 %s", ErrKey, path, mode, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	key, err := ParseKey(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// ParseKey reads the text of a key file.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	secret, err := hex.DecodeString(text)
	if err != nil {
		digits := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
		if secret, err = base64.RawStdEncoding.DecodeString(digits); err != nil {
			return Key{}, fmt.Errorf("%w: neither hexadecimal nor base64", ErrKey)
		}
	}
	if len(secret) < MinKeyBytes {
		return Key{}, fmt.Errorf("%w: %d bytes, want at least %d", ErrKey, len(secret), MinKeyBytes)
	}
	return Key{secret}, nil
}

// CreateKey makes a new random key and writes it to a new file, for trying
// things out on one machine. An existing file is left alone: the error is then
// [fs.ErrExist].
func CreateKey(path string) (Key, error) {
	secret := make([]byte, MinKeyBytes)
	rand.Read(secret) // never fails: it would end the program
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(0o600))
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	_, err = f.WriteString(hex.EncodeToString(secret) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return Key{}, errors.Join(fmt.Errorf("%w: %w", ErrKey, err), os.Remove(path))
	}
	return Key{secret}, nil
}

// Fingerprint tells keys apart without telling what they are.
func (k Key) Fingerprint() string {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("anabranch pseudonym key, fingerprint"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
