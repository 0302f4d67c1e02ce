package raftlog

import (
	"sync"
	"time"
)

// pending are the writing accesses to the disk that are under way, so that one
// that hangs is noticed.
type pending struct {
	mu    sync.Mutex // guards what follows
	ops   []pendingOp
	count uint64
}

type pendingOp struct {
	id    uint64
	op    Op
	begun time.Time
}

// begin notes an access; end forgets it.
func (p *pending) begin(op Op) (id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	p.ops = append(p.ops, pendingOp{p.count, op, time.Now()})
	return p.count
}

func (p *pending) end(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.ops {
		if p.ops[i].id == id {
			p.ops = append(p.ops[:i], p.ops[i+1:]...)
			return
		}
	}
}

// Access is a writing access to the disk.
type Access struct {
	ID  uint64 // from 1, rising; 0 is none
	Op  Op
	Age time.Duration
}

// Pending is the oldest writing access to the disk that is under way; the zero
// Access if there is none.
func (l *Log) Pending() Access {
	p := &l.disk.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ops) == 0 {
		return Access{}
	}
	oldest := p.ops[0]
	return Access{ID: oldest.id, Op: oldest.op, Age: time.Since(oldest.begun)}
}

// Refuse has every later write fail with an error. It does not wait for one
// that is under way, and does not call Options.OnFault.
func (l *Log) Refuse(err error) { l.disk.refuse(err) }
