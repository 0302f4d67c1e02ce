package peer

import (
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// BenchmarkCall is the round trip of a call with 100 bytes each way over loopback.
func BenchmarkCall(b *testing.B) {
	for name, shape := range transports(b) {
		b.Run(name, func(b *testing.B) {
			var at book
			listen(b, &at, "b", func(_ context.Context, _, _ string, q []byte) ([]byte, error) { return q, nil }, shape("b"))
			a := listen(b, &at, "a", nil, shape("a"))
			body := make([]byte, 100)
			ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
			defer cancel()
			b.ReportAllocs()
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := a.Call(ctx, "b", "bench", body); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "p99-µs")
		})
	}
}

// BenchmarkStream is a round trip of 4 bytes on a group's stream, and on a bare
// connection beside it.
func BenchmarkStream(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.Copy(c, c)
			c.Close()
		}()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		for b.Loop() {
			pingPong(b, c)
		}
	})
	var at book
	for name, shape := range transports(b) {
		b.Run(name, func(b *testing.B) {
			p, q := listen(b, &at, "a", nil, shape("a")), listen(b, &at, "b", nil, shape("b"))
			echoes(b, join(b, q, 1, "b.1"))
			c, err := join(b, p, 1, "a.1").Dial("b.1", time.Minute)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			for b.Loop() {
				pingPong(b, c)
			}
		})
	}
}
