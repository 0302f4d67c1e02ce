package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// repeatAfter is how long a message is not said again.
const repeatAfter = 30 * time.Second

// lineLog prints warnings and errors for people who watch: one short line each,
// and not again and again while something lasts, such as a broker that is away.
type lineLog struct {
	attrs []slog.Attr
	*lineLogState
}

type lineLogState struct {
	out io.Writer
	now func() time.Time

	mu     sync.Mutex           // guards what follows
	said   map[string]time.Time // by message
	hushed bool
}

func newLineLog(out io.Writer) *lineLog {
	return &lineLog{lineLogState: &lineLogState{out: out, now: time.Now, said: map[string]time.Time{}}}
}

// hush ends all printing: nodes that stop one after the other complain about
// each other, which tells nobody anything.
func (l *lineLog) hush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hushed = true
}

// Enabled implements slog.Handler.
func (l *lineLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (l *lineLog) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelError && strings.HasPrefix(r.Message, "raft: ") {
		return nil // it speaks of what heals by itself
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if last, ok := l.said[r.Message]; l.hushed || ok && now.Sub(last) < repeatAfter {
		return nil
	}
	l.said[r.Message] = now
	var b strings.Builder
	b.WriteString(r.Time.Local().Format("15:04:05.000") + "  " + strings.ToLower(r.Level.String()) + ": " + r.Message)
	add := func(a slog.Attr) bool {
		b.WriteString("; ")
		if a.Key != "err" && a.Key != "cause" {
			b.WriteString(a.Key + " ")
		}
		b.WriteString(strings.ReplaceAll(a.Value.Resolve().String(), "\n", "; "))
		return true
	}
	for _, a := range l.attrs {
		add(a)
	}
	r.Attrs(add)
	b.WriteByte('\n')
	_, err := io.WriteString(l.out, b.String())
	return err
}

// WithAttrs implements slog.Handler.
func (l *lineLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lineLog{attrs: append(append([]slog.Attr(nil), l.attrs...), attrs...), lineLogState: l.lineLogState}
}

// WithGroup implements slog.Handler. Lines are too short for groups.
func (l *lineLog) WithGroup(string) slog.Handler { return l }
