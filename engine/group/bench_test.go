package group

import (
	"fmt"
	"testing"

	"anabranch.dev/engine/raftlog"
)

// BenchmarkSubmit is one caller: a command's way into the log, the core and
// back.
func BenchmarkSubmit(b *testing.B) {
	for _, durability := range []raftlog.Durability{raftlog.Memory, raftlog.Disk} {
		b.Run(string(durability), func(b *testing.B) {
			cfg := config(b, b.TempDir(), &broker{})
			cfg.Durability = durability
			r := start(b, cfg)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				r.add(fmt.Sprint(n), "a", 1)
			}
			r.mustEnd()
		})
	}
}
