package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"anabranch.dev/engine/core"
)

// TestPatienceBeginsAnew copies a shard that takes far longer than a move may
// stand still, and one whose new group stops taking pieces. The clock is the
// test's own.
func TestPatienceBeginsAnew(t *testing.T) {
	const each = movePatience * 6 / 10
	errLost := errors.New("lost")
	for _, c := range []struct {
		name  string
		codes func(n int) (string, error) // of piece n
		want  string
		took  time.Duration
	}{
		{"slow", func(int) (string, error) { return "", nil }, "", 20 * each},
		{"over at once", func(int) (string, error) { return core.CodeImportOver, nil }, "", each},
		{"taken before", func(n int) (string, error) {
			if n < 19 {
				return core.CodeImportNumber, nil
			}
			return "", nil
		}, "context deadline exceeded", movePatience},
		{"stuck", func(n int) (string, error) {
			if n >= 10 {
				return core.CodeNotYet, nil
			}
			return "", nil
		}, "group 1 does not catch up", 10*each + movePatience},
		{"without a leader", func(n int) (string, error) {
			if n >= 10 {
				return "", errLost
			}
			return "", nil
		}, "lost", 10*each + movePatience},
		{"refused", func(n int) (string, error) {
			if n == 3 {
				return core.CodeImportBad, nil
			}
			return "", nil
		}, "group 1 refuses it: import_damaged", 4 * each},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := pieces{to: 1, step: func(ctx context.Context, im *core.Import) (string, error) {
					if !wait(ctx, each) {
						return "", ctx.Err()
					}
					return c.codes(int(im.Number))
				}}
				for n := range 20 {
					s.all = append(s.all, &core.Import{Number: uint64(n)})
				}
				begun := time.Now()
				err := s.send(t.Context(), newPatience())
				if got := text(err); got != c.want {
					t.Errorf("send() = %q; want %q", got, c.want)
				}
				if took := time.Since(begun); took.Round(time.Second) != c.took {
					t.Errorf("it took %v; want %v", took, c.took)
				}
			})
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
