package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestLineLogDoesNotRepeat(t *testing.T) {
	var out strings.Builder
	l := newLineLog(&out)
	now := time.Now()
	l.now = func() time.Time { return now }
	log := slog.New(l).With("group", 0)
	for range 3 {
		log.Warn("inputs wait for kafka", "err", "connection\nrefused")
		log.Info("never shown")
		log.Warn("raft: log not found, sending older ones")
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "warn: inputs wait for kafka; group 0; connection; refused\n") {
		t.Errorf("output = %q; want one line", got)
	}
	now = now.Add(repeatAfter)
	log.Warn("inputs wait for kafka")
	if got := out.String(); strings.Count(got, "\n") != 2 {
		t.Errorf("output = %q; want it said again after %v", got, repeatAfter)
	}
}

func TestLineLogHushed(t *testing.T) {
	var out strings.Builder
	l := newLineLog(&out)
	log := slog.New(l).With("node", "n1")
	log.Error("before")
	l.hush()
	log.Error("after")
	if got := out.String(); !strings.Contains(got, "before") || strings.Contains(got, "after") {
		t.Errorf("output = %q; want nothing after hush", got)
	}
}
