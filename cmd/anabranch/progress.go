package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far long work has come: a bar on a terminal, otherwise a
// line every few seconds.
type progress struct {
	w    io.Writer
	what string
	bar  *progressbar.ProgressBar // nil: lines
	done int64
	all  int64
	next time.Time
}

const progressEvery = 5 * time.Second

func newProgress(w io.Writer, what string, all int64) *progress {
	p := &progress{w: w, what: what, all: all, next: time.Now().Add(progressEvery)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(max(all, 1), progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionEnableColorCodes(colourful(w)))
	}
	return p
}

// total changes how much there is to do.
func (p *progress) total(all int64) {
	p.all = all
	if p.bar != nil && all > 0 {
		p.bar.ChangeMax64(all)
	}
}

func (p *progress) set(done int64) {
	p.done = done
	if p.bar != nil {
		// A bar that can't be drawn stops nothing.
		_ = p.bar.Set64(done)
		return
	}
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(progressEvery)
		p.line()
	}
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
		return
	}
	p.line()
}

func (p *progress) line() { say(p.w, "%s: %d of %d\n", p.what, p.done, p.all) }
