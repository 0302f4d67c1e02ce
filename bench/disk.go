package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// measureDisk times a write of 4 KiB with an fdatasync, as a log would do it: at
// the end of a file that was made long enough before.
func measureDisk(dir string) (Fdatasync, error) {
	const rounds, block = 300, 4096
	path := filepath.Join(dir, "fdatasync.probe")
	f, err := os.Create(path)
	if err != nil {
		return Fdatasync{}, err
	}
	defer os.Remove(path)
	defer f.Close()
	buf := make([]byte, block)
	if err := f.Truncate(rounds * block); err != nil {
		return Fdatasync{}, err
	}
	if err := f.Sync(); err != nil {
		return Fdatasync{}, err
	}
	h := newHistogram()
	for i := range int64(rounds) {
		began := time.Now()
		if _, err := f.WriteAt(buf, i*block); err != nil {
			return Fdatasync{}, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return Fdatasync{}, fmt.Errorf("fdatasync %s: %w", path, err)
		}
		record(h, time.Since(began))
	}
	l := latencyOf(h)
	return Fdatasync{P50: l.P50, P99: l.P99}, nil
}
