package httpapi

import (
	"strconv"
	"testing"
)

func TestKeyMemory(t *testing.T) {
	k := newKeyMemory()
	first := k.Claim("a", []byte("1"))
	if again := k.Claim("a", []byte("1")); !first || !again || k.Claim("a", []byte("2")) {
		t.Error("a key must go with one body only")
	}
	k.Forget("a")
	if !k.Claim("a", []byte("2")) {
		t.Error("a forgotten key must go with any body")
	}
	for i := range 3 * rememberedKeys {
		k.Claim(strconv.Itoa(i), nil)
	}
	if n := len(k.bodies); n > rememberedKeys {
		t.Errorf("remembers %d keys; want at most %d", n, rememberedKeys)
	}
	if k.Claim(strconv.Itoa(3*rememberedKeys-1), []byte("other")) {
		t.Error("the newest key is forgotten")
	}
}
