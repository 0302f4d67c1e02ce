package node

import (
	"context"
	"fmt"
	"time"

	"anabranch.dev/engine/core"
)

// patience is how long a move may go without getting on. A large shard takes
// longer than that to copy: with each piece that is taken it begins anew. Pieces
// are taken once each, so that it ends.
type patience struct{ until time.Time }

func newPatience() *patience {
	p := &patience{}
	p.renew()
	return p
}

func (p *patience) renew() { p.until = time.Now().Add(movePatience) }

// bound is a context that ends with the patience as it is now.
func (p *patience) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, p.until)
}

// pieces sends a shard's pieces to its new group in turn, until it has them all.
type pieces struct {
	to   int // the new group
	all  []*core.Import
	step func(ctx context.Context, im *core.Import) (code string, err error)
}

func (s *pieces) send(ctx context.Context, p *patience) error {
	for at := 0; at < len(s.all); at++ {
		switch code, err := s.push(ctx, p, s.all[at]); {
		case err != nil:
			return err
		case code == core.CodeImportOver:
			return nil
		case code == core.CodeImportNumber: // an answer was lost, or an earlier leader came so far
			if at == len(s.all)-1 {
				return fmt.Errorf("group %d takes no piece of it", s.to)
			}
		case code != "":
			return fmt.Errorf("group %d refuses it: %s", s.to, code)
		default:
			p.renew()
		}
		s.all[at] = nil // it is not sent again
	}
	return nil
}

// push sends a piece until there is an answer to it, or says what it last waited
// for.
func (s *pieces) push(ctx context.Context, p *patience, im *core.Import) (string, error) {
	patient, cancel := p.bound(ctx)
	defer cancel()
	var why error
	for {
		code, err := s.step(patient, im)
		pause := moveRetry
		switch {
		case err == nil && code != core.CodeNotYet:
			return code, nil
		case err == nil:
			why, pause = fmt.Errorf("group %d does not catch up", s.to), movePause
		case why == nil || patient.Err() == nil:
			why = err
		}
		if !wait(patient, pause) {
			return "", why
		}
	}
}
