package leader

import (
	"anabranch.dev/internal/planted"
	"anabranch.dev/state"
)

// logClock turns the node's clock into log time: never going back, and at half
// speed while the clock is behind what an earlier leader has stamped, so that
// timers go on without a jump.
type logClock struct {
	last state.Time // the last stamp
	at   state.Time // what the clock said then
}

func (c *logClock) stamp(now state.Time) state.Time {
	if planted.Is("log time goes back") {
		return now
	}
	switch elapsed := now - c.at; {
	case now >= c.last:
		c.last = now
	case c.at != 0 && elapsed > 0:
		c.last += elapsed / 2
	}
	c.at = max(c.at, now)
	return c.last
}

// reaches says when the clock will have to show for a stamp of at least due.
func (c *logClock) reaches(due state.Time) state.Time {
	if c.at >= c.last || due <= c.last {
		return due
	}
	return min(due, c.at+2*(due-c.last))
}
