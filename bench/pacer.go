package bench

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pacer wakes a goroutine at a time, to within tens of microseconds. The
// runtime's own timers round up to a millisecond whenever the process is
// otherwise idle, which would be most of what is measured here.
type pacer struct {
	fd   int
	file *os.File
}

func newPacer() (*pacer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	return &pacer{fd: fd, file: os.NewFile(uintptr(fd), "timer")}, nil
}

// wait returns after d.
func (p *pacer) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if err := unix.TimerfdSettime(p.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}, nil); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	var expirations [8]byte
	_, err := p.file.Read(expirations[:])
	return err
}

func (p *pacer) close() error { return p.file.Close() }

// schedule says when events are due: evenly from a start on, whatever becomes
// of them.
type schedule struct {
	began time.Time
	rate  float64 // events per second
}

// due is when the n-th event arrives.
func (s schedule) due(n int) time.Time {
	return s.began.Add(time.Duration(float64(n) / s.rate * float64(time.Second)))
}

// dueBy counts the events that have arrived by a time.
func (s schedule) dueBy(now time.Time) int {
	return int(now.Sub(s.began).Seconds()*s.rate) + 1
}

// stretch is a part of a schedule: events [from, to).
type stretch struct {
	schedule
	from, to int
}

func (s schedule) part(from, to int) stretch { return stretch{s, from, to} }

// offer has events published as they fall due, until all are or ctx ends. It
// returns how long it was at work itself, at most the processor time it took.
func (s stretch) offer(ctx context.Context, publish func(from, to int) error) (busy time.Duration, err error) {
	p, err := newPacer()
	if err != nil {
		return 0, err
	}
	defer p.close()
	for n := s.from; n < s.to; {
		if err := p.wait(time.Until(s.due(n))); err != nil {
			return busy, err
		}
		if err := ctx.Err(); err != nil {
			return busy, err
		}
		woke := time.Now()
		if to := min(s.to, s.dueBy(woke)); to > n {
			if err := publish(n, to); err != nil {
				return busy, err
			}
			n = to
		}
		busy += time.Since(woke)
	}
	return busy, nil
}
