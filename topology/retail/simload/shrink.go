package simload

import (
	"context"
	"errors"
	"slices"

	"anabranch.dev/engine/sim"
)

// shrinkTries is how many runs a seed is made small by, at most.
const shrinkTries = 60

// Shrink makes a failing seed small: fewer groups, fewer things that happen, and
// one kind after the other of what goes wrong switched off, as long as an
// invariant breaks. It returns what the smallest run breaks, whose Again runs
// it, or nil if the seed breaks nothing. Less may happen in another order too: what
// breaks in the end need not be what broke at first.
func Shrink(ctx context.Context, cfg sim.Config, things int, tried func(smallest string)) (*sim.Failure, error) {
	s := shrinker{ctx: ctx, cfg: cfg, things: things, tried: tried}
	s.cfg.Trace, s.cfg.Again = nil, ""
	if !s.fails(s.cfg, s.things) {
		return nil, s.err
	}
	for shrunk := true; shrunk && s.err == nil; {
		shrunk = s.groups() || s.fewer() || s.without()
	}
	return s.found, s.err
}

type shrinker struct {
	ctx    context.Context
	cfg    sim.Config // the smallest that fails
	things int
	tries  int
	found  *sim.Failure
	tried  func(string)
	err    error
}

// fails runs a seed, and keeps what it breaks.
func (s *shrinker) fails(cfg sim.Config, things int) bool {
	if s.tries++; s.tries > shrinkTries || s.err != nil {
		return false
	}
	if s.err = s.ctx.Err(); s.err != nil {
		return false
	}
	_, err := Run(cfg, things)
	var failure *sim.Failure
	switch {
	case errors.As(err, &failure):
		s.cfg, s.things, s.found = cfg, things, failure
		if s.tried != nil {
			s.tried(failure.Again)
		}
		return true
	case err != nil:
		s.err = err
	}
	return false
}

// groups tries with fewer groups.
func (s *shrinker) groups() bool {
	for _, n := range []int{1, 2} {
		cfg := s.cfg
		if cfg.Groups = n; n < s.cfg.Groups && s.fails(cfg, s.things) {
			return true
		}
	}
	return false
}

// fewer tries with fewer things.
func (s *shrinker) fewer() bool {
	for _, n := range []int{s.things / 8, s.things / 2, s.things * 3 / 4, s.things - 1} {
		if n > 0 && n < s.things && s.fails(s.cfg, n) {
			return true
		}
	}
	return false
}

// without tries with one more kind switched off.
func (s *shrinker) without() bool {
	for _, kind := range sim.Kinds() {
		if slices.Contains(s.cfg.Without, kind) {
			continue
		}
		cfg := s.cfg
		if cfg.Without = append(slices.Clone(cfg.Without), kind); s.fails(cfg, s.things) {
			return true
		}
	}
	return false
}
