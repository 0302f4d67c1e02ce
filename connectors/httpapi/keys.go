package httpapi

import (
	"crypto/sha256"
	"sync"
)

// rememberedKeys bounds how many idempotency keys a node remembers.
const rememberedKeys = 16 << 10

// keyMemory remembers with which body an idempotency key came last, so that a
// key used for two orders is noticed. It forgets the oldest; what it has
// forgotten is still recognised by the order's own number.
type keyMemory struct {
	mu     sync.Mutex // guards all below
	bodies map[string][sha256.Size]byte
	order  []string // ring of keys, oldest at next
	next   int
}

func newKeyMemory() *keyMemory {
	return &keyMemory{bodies: map[string][sha256.Size]byte{}}
}

// Claim remembers the body of a key. It returns false if the key came with
// another body before.
func (k *keyMemory) Claim(key string, body []byte) bool {
	sum := sha256.Sum256(body)
	k.mu.Lock()
	defer k.mu.Unlock()
	if seen, ok := k.bodies[key]; ok {
		return seen == sum
	}
	k.bodies[key] = sum
	if len(k.order) < rememberedKeys {
		k.order = append(k.order, key)
		return true
	}
	delete(k.bodies, k.order[k.next])
	k.order[k.next] = key
	k.next = (k.next + 1) % rememberedKeys
	return true
}

// Forget lets a key be used with any body again.
func (k *keyMemory) Forget(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	// Its place in the ring stays, and later evicts nothing.
	delete(k.bodies, key)
}
