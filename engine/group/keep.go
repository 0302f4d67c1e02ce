package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// markEvery is how often the log is told what is acknowledged, and whether a
// snapshot is due is looked at.
const markEvery = time.Second

// keep does the housekeeping: the mark, and snapshots.
func (g *Group) keep(ctx context.Context) {
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	taken, _ := g.snaps.Newest()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.failed:
			return
		case <-tick.C:
		}
		if err := g.log.Mark(g.raft.CommitIndex()); err != nil {
			g.fail("log", fmt.Errorf("log mark: %w", err))
			return
		}
		g.dropUnused()
		due := g.logBytes.Load() >= g.cfg.SnapshotBytes || g.appliedIndex.Load() >= taken+g.cfg.SnapshotEntries
		if !due || g.halted.Load() || g.appliedIndex.Load() < g.restored.Load() {
			continue // the last: the log is still being replayed
		}
		if err := g.Snapshot(); err != nil && !g.stopped() && ctx.Err() == nil {
			// The log stays longer; nothing is lost by that.
			g.cfg.Log.Warn("no snapshot", "group", g.cfg.Core.Group, "err", err)
		}
		taken, _ = g.snaps.Newest()
	}
}

// trailing is how much log may stay behind a snapshot, in what makes one due.
const trailing = 2

// Snapshot takes a snapshot now and truncates the log behind it.
func (g *Group) Snapshot() error {
	newest, _ := g.snaps.Newest()
	if n := g.appliedIndex.Load() - newest; n > 0 && n < math.MaxInt64 { // else there was one just now
		size := max(1, uint64(max(0, g.logBytes.Load()))/n)
		o := g.raft.ReloadableConfig()
		o.TrailingLogs = min(g.cfg.TrailingEntries, max(1, trailing*uint64(g.cfg.SnapshotBytes)/size))
		if err := g.raft.ReloadConfig(o); err != nil {
			return err
		}
	}
	err := g.raft.Snapshot().Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	return err
}

// raftLogger passes Raft's warnings and errors on. Its information is about its
// own working, and is for debugging.
func newRaftLogger(log *slog.Logger, group int) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Debug, Output: nothing{}})
	l.RegisterSink(&slogSink{log.With("group", group)})
	return l
}

// nothing swallows the text form; the sink has the same with its fields.
type nothing struct{}

func (nothing) Write(b []byte) (int, error) { return len(b), nil }

type slogSink struct{ log *slog.Logger }

// Accept implements hclog.SinkAdapter.
func (s *slogSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case hclog.Warn:
		to = slog.LevelWarn
	case hclog.Error:
		to = slog.LevelError
	}
	switch {
	case strings.HasPrefix(msg, "heartbeat timeout reached"):
		to = slog.LevelDebug // every start of a group begins with it
	case slices.ContainsFunc(args, func(a any) bool { err, ok := a.(error); return ok && errors.Is(err, net.ErrClosed) }):
		to = slog.LevelDebug // we have closed it
	}
	s.log.Log(context.Background(), to, "raft: "+msg, args...)
}
