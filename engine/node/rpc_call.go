package node

import (
	"context"
	"errors"
	"fmt"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/group"
	"anabranch.dev/engine/peer"
	"anabranch.dev/state"
)

// visitable is a pointer to a message.
type visitable[T any] interface {
	*T
	state.Visitable
}

// call asks another member. What all builds must understand, to find out what the
// other one is, is written at the first feature level, all else at the one in
// force; the answer comes at the level of the request.
func call[A any, P visitable[A]](ctx context.Context, n *Node, node, method string, request state.Visitable) (*A, error) {
	level := uint8(core.FirstLevel)
	if method != callHello {
		level = uint8(n.level())
	}
	b, err := n.cfg.Codec.Append(nil, level, request)
	if err != nil {
		return nil, fmt.Errorf("%s: encode: %w", method, err)
	}
	b, err = n.port.Call(ctx, node, method, b)
	if err != nil {
		return nil, errorOf(err)
	}
	return decode[A, P](n, method, b)
}

// callAddress asks whatever node is at an address. Nobody knows what it is.
func callAddress[A any, P visitable[A]](ctx context.Context, n *Node, address, method string, request state.Visitable) (*A, error) {
	b, err := n.cfg.Codec.Append(nil, core.FirstLevel, request)
	if err != nil {
		return nil, fmt.Errorf("%s: encode: %w", method, err)
	}
	b, err = n.port.CallAddress(ctx, address, method, b)
	if err != nil {
		return nil, errorOf(err)
	}
	return decode[A, P](n, method, b)
}

func decode[A any, P visitable[A]](n *Node, method string, b []byte) (*A, error) {
	a := new(A)
	if err := n.cfg.Codec.Decode(b, P(a)); err != nil {
		return nil, fmt.Errorf("%s: decode: %w", method, err)
	}
	return a, nil
}

// codes are the errors that keep their identity on the way from node to node.
// The first that fits counts.
var codes = []struct {
	code string
	err  error
}{
	{"not_leader", errNotLeader},
	{"elsewhere", core.ErrElsewhere},
	{"unknown", connectors.ErrUnknown},
	{"not_found", connectors.ErrNotFound},
	{"overloaded", connectors.ErrOverloaded},
	{"unavailable", connectors.ErrUnavailable},
	{"no_quorum", group.ErrNoQuorum},
	{"superseded", group.ErrSuperseded},
	{"hold_lost", group.ErrHoldLost},
	{"not_leader", group.ErrNotLeader},
	{"forming", errForming},
	{"deadline", context.DeadlineExceeded},
	{"canceled", context.Canceled},
}

// refusalOf is an error on its way to another node.
func refusalOf(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return &peer.Refusal{Code: c.code, Text: err.Error()}
		}
	}
	return err
}

// remoteError is an error of another node: its text, and what it was.
type remoteError struct {
	text string
	kind error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }

// errorOf is an error that came from another node.
func errorOf(err error) error {
	var r *peer.Refusal
	if !errors.As(err, &r) {
		return err
	}
	for _, c := range codes {
		if r.Code == c.code {
			return &remoteError{err.Error(), c.err}
		}
	}
	return err
}
