//go:build faults

package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/internal/tally"
	"anabranch.dev/engine/peer"
	"anabranch.dev/engine/raftlog"
	"anabranch.dev/internal/faultdisk"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
	"anabranch.dev/state/pebblestate"
)

// script is a run of one replica whose disk is watched: events, snapshots, log
// cut off behind them, segments sealed, and orderly stops.
type script struct {
	t          testing.TB
	dir        string
	durability raftlog.Durability
	b          *broker
	disk       *faultdisk.Disk
	ref        *digestLog

	lives   int // how often the replica is opened
	perLife int // how many events it is sent in each

	asked, acked atomic.Int64 // events so far; they go to the names in turn
	marked       atomic.Int64 // of those acknowledged, how many are below the log's mark
}

var scriptNames = []string{"anna", "ben", "cleo"}

func newScript(t testing.TB, durability raftlog.Durability) *script {
	t.Helper()
	s := &script{t: t, dir: filepath.Join(t.TempDir(), "run"), durability: durability, b: &broker{}, ref: &digestLog{}, lives: 3, perLife: 40}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.disk, err = faultdisk.Attach(s.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.disk.Detach(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// play runs the script to its end, or to the first error.
func (s *script) play() error {
	for range s.lives {
		l, err := s.open(s.dir, s.b, s.ref, "")
		if err == nil {
			err = errors.Join(s.live(l), l.end())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *script) live(l *life) error {
	if err := l.awaitLeader(); err != nil {
		return err
	}
	for range s.perLife {
		n := s.asked.Add(1) - 1
		if _, err := l.submit(eventOf(n)); err != nil {
			return err
		}
		s.acked.Store(n + 1)
		if n%9 == 8 {
			if err := l.log.Mark(l.raft.CommitIndex()); err != nil {
				return err
			}
			s.marked.Store(n + 1)
		}
		if n%25 == 24 {
			if err := l.Snapshot(); err != nil {
				return err
			}
		}
	}
	return nil
}

func eventOf(n int64) (id, name string, add int64) {
	return fmt.Sprint("event-", n), scriptNames[n%int64(len(scriptNames))], 1
}

// sumOf is a name's sum after so many events.
func sumOf(name int, events int64) int64 {
	k := int64(len(scriptNames))
	return (events + k - 1 - int64(name)) / k
}

// life is a replica from its opening to its end.
type life struct {
	*running
	port *peer.Port
	last uint64 // of the log when it was opened
}

// open opens a replica with what production has, but for smaller files.
func (s *script) open(dir string, b *broker, digests *digestLog, boot string) (*life, error) {
	port, err := peer.Listen(peer.Options{Address: "127.0.0.1:0", Cluster: "test", Node: "n1",
		Resolve: func(string) (string, error) { return "", connectors.ErrNotFound },
		Admits:  func(string) bool { return true }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	cfg := baseConfig(s.t, dir, b)
	cfg.Replica, cfg.Voters, cfg.Port, cfg.Durability = "n1.1", []string{"n1.1"}, port, s.durability
	cfg.TrailingEntries, cfg.Stall = 5, time.Hour
	cfg.Disk = func(o *raftlog.Options) { o.SegmentBytes, o.Boot = 8<<10, boot+"1" }
	cfg.OpenStore = smallStore(digests)
	g, err := Open(cfg)
	if err != nil {
		return nil, errors.Join(err, port.Close())
	}
	last, err := g.log.LastIndex()
	if err != nil {
		return nil, errors.Join(err, g.Close(), port.Close())
	}
	return &life{running: run(s.t, g), port: port, last: last}, nil
}

func (l *life) end() error { return errors.Join(l.running.end(), l.port.Close()) }

// patience is how long a replica may take for anything.
var patience = 20 * time.Second

// awaitLeader waits until the replica leads, or has stopped.
func (l *life) awaitLeader() error {
	if !within(patience, func() bool { return l.Leading() || l.stopped() }) {
		return fmt.Errorf("no leader within %v", patience)
	}
	return l.Err()
}

// smallStore opens stores that write early and often, and note their digests.
func smallStore(digests *digestLog) func(dir string, copied bool) (Store, error) {
	return func(dir string, copied bool) (Store, error) {
		plan, err := tally.Plan()
		if err != nil {
			return nil, err
		}
		p, err := pebblestate.Open(pebblestate.Options{Dir: dir, Tables: core.Tables(plan), Codec: codec.New(),
			HotBytes: 1 << 10, FlushBytes: 4 << 10, Gather: time.Microsecond})
		if err != nil {
			return nil, err
		}
		if copied {
			return p, nil
		}
		return &notedStore{p, digests}, nil
	}
}

// notedStore notes its digest when it begins and after every entry.
type notedStore struct {
	Store
	digests *digestLog
}

func (s *notedStore) Run(ctx context.Context) error {
	s.Digests(s.digests.take)
	return s.Store.Run(ctx)
}

func (s *notedStore) Commit(index uint64) {
	s.Store.Commit(index)
	s.Digests(s.digests.take)
}

// digestLog holds a digest per index.
type digestLog struct {
	mu sync.Mutex
	at map[uint64]state.Digest
}

func (l *digestLog) take(index uint64, shards []state.ShardDigest) {
	var sum state.Digest
	for _, s := range shards {
		sum = sum.Add(s.Digest)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at = map[uint64]state.Digest{}
	}
	l.at[index] = sum
}

// differs compares what a replica noted up to an index with the reference. Both
// are at rest. It also says how many digests it has compared.
func (l *digestLog) differs(ref *digestLog, last uint64) (compared int, err error) {
	for index, d := range l.at {
		want, known := ref.at[index]
		if index == 0 || index > last || !known {
			continue
		}
		if compared++; d != want {
			err = errors.Join(err, fmt.Errorf("digest at %d is %v; want %v", index, d, want))
		}
	}
	return compared, err
}
