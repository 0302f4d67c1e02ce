package sim

import (
	"context"
	"runtime"
	"sync"
)

// Seeds runs n seeds from first on, as many at once as there are processors, and
// sums their reports up. The error is that of the first seed, by number, that
// fails: seeds are taken in turn, none is begun after one has failed, and those
// begun are waited for. done is called after each seed, one call at a time.
func Seeds(ctx context.Context, first, n uint64, run func(seed uint64) (*Report, error), done func()) (*Report, error) {
	p := pool{next: first, end: first + n, total: &Report{}}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() { p.work(ctx, run, done) })
	}
	workers.Wait()
	if p.err == nil {
		p.err = ctx.Err()
	}
	return p.total, p.err
}

// pool hands out seeds.
type pool struct {
	mu     sync.Mutex // guards all below
	next   uint64
	end    uint64
	total  *Report
	failed uint64
	err    error
}

func (p *pool) work(ctx context.Context, run func(seed uint64) (*Report, error), done func()) {
	for {
		p.mu.Lock()
		seed := p.next
		over := p.err != nil || seed >= p.end || ctx.Err() != nil
		if !over {
			p.next++
		}
		p.mu.Unlock()
		if over {
			return
		}
		report, err := run(seed)
		p.mu.Lock()
		switch {
		case err == nil:
			p.total.Add(report)
			if done != nil {
				done()
			}
		case p.err == nil || seed < p.failed:
			p.failed, p.err = seed, err
		}
		p.mu.Unlock()
	}
}
