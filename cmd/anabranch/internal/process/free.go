package process

import (
	"net"
	"slices"
	"strconv"
	"testing"
	"time"
)

// FreePort finds a port below those that the system gives to clients, so that
// it is still free when a process starts there again.
func FreePort(t testing.TB) int {
	t.Helper()
	for port := 20000 + time.Now().Nanosecond()/1000%10000; port < 32000; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port")
	return 0
}

// FreePorts finds several.
func FreePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for len(ports) < n {
		if p := FreePort(t); !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	return ports
}

// Until waits for a condition.
func Until(t testing.TB, bound time.Duration, what string, holds func() bool) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for timeout := time.After(bound); !holds(); {
		select {
		case <-again.C:
		case <-timeout:
			t.Fatalf("not in %v: %s", bound, what)
		}
	}
}
