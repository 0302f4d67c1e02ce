package raftlog

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestPending has a write hang, and refuses it and all later ones meanwhile.
func TestPending(t *testing.T) {
	hang := make(chan struct{})
	hanging := make(chan struct{})
	var armed atomic.Bool
	l, err := Open(Options{Dir: t.TempDir(), Fault: func(op Op, _ string) error {
		if op == OpWrite && armed.CompareAndSwap(true, false) {
			close(hanging)
			<-hang
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if idle := l.Pending(); idle != (Access{}) {
		t.Errorf("Pending() of an idle log = %+v; want none", idle)
	}
	armed.Store(true)
	stored := make(chan error, 1)
	go func() { stored <- l.StoreLog(&raft.Log{Index: 1, Term: 1}) }()
	<-hanging
	if a := l.Pending(); a.ID == 0 || a.Age <= 0 || a.Age > time.Minute || a.Op != OpWrite {
		t.Errorf("Pending() of a hanging write = %+v; want it with its age", a)
	}
	stalled := errors.New("stalled")
	l.Refuse(stalled)
	close(hang)
	<-stored // what was under way may still have been written
	if err := l.StoreLog(&raft.Log{Index: 2, Term: 1}); !errors.Is(err, stalled) {
		t.Errorf("StoreLog afterwards = %v; want %v", err, stalled)
	}
	if err := l.Close(0); !errors.Is(err, stalled) {
		t.Errorf("Close = %v; want %v", err, stalled)
	}
}

// TestWhatCountsAsFailedDisk tells a full disk from one that fails.
func TestWhatCountsAsFailedDisk(t *testing.T) {
	for _, tt := range []struct {
		fault error
		op    Op
		want  bool
	}{
		{syscall.EIO, OpWrite, true},
		{syscall.EIO, OpSync, true},
		{syscall.ENOSPC, OpWrite, false},
		{syscall.ENOSPC, OpSync, false},
	} {
		var armed atomic.Bool
		var reported error
		l, err := Open(Options{Dir: t.TempDir(), OnFault: func(err error) { reported = err }, Fault: func(op Op, _ string) error {
			if op == tt.op && armed.Load() {
				return tt.fault
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		armed.Store(true)
		err = l.StoreLog(&raft.Log{Index: 1, Term: 1})
		if !errors.Is(reported, tt.fault) || !errors.Is(err, tt.fault) || errors.Is(reported, ErrDisk) != tt.want {
			t.Errorf("%v at a %s: StoreLog = %v, reported %v; want ErrDisk %v", tt.fault, tt.op, err, reported, tt.want)
		}
		if err := l.Close(0); err == nil {
			t.Error("Close after a fault = nil")
		}
	}
}

// TestTruncatedRecordsAreGone reads what DeleteRange took from a segment that
// is still there.
func TestTruncatedRecordsAreGone(t *testing.T) {
	l, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(10) {
		if err := l.StoreLog(&raft.Log{Index: i + 1, Term: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.DeleteRange(1, 6); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(10) {
		err := l.GetLog(i+1, new(raft.Log))
		if gone := i+1 <= 6; gone != errors.Is(err, raft.ErrLogNotFound) || !gone && err != nil {
			t.Errorf("GetLog(%d) = %v; want it gone %v", i+1, err, gone)
		}
	}
	if err := l.Close(0); err != nil {
		t.Fatal(err)
	}
}
