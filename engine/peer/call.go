package peer

import (
	"context"
	"errors"
	"fmt"
)

// Call asks a node. The connection is kept for the next call. An error is a
// [*Refusal] from the other side, or wraps [ErrUnreachable], [ErrBroken] or
// ctx's error (then it is not known whether the call was carried out). ctx should
// have a deadline: it goes along to the handler, and a host that vanishes is
// noticed late without.
func (p *Port) Call(ctx context.Context, node, method string, request []byte) ([]byte, error) {
	address, err := p.o.Resolve(node)
	if err != nil {
		return nil, fmt.Errorf("call %s of node %s: %w: %w", method, node, ErrUnreachable, err)
	}
	answer, err := p.call(ctx, target{node, address}, method, request)
	if err != nil {
		return nil, fmt.Errorf("call %s of node %s: %w", method, node, err)
	}
	return answer, nil
}

// CallAddress asks whatever node of this cluster listens at an address, before
// its name is known.
func (p *Port) CallAddress(ctx context.Context, address, method string, request []byte) ([]byte, error) {
	answer, err := p.call(ctx, target{"", address}, method, request)
	if err != nil {
		return nil, fmt.Errorf("call %s at %s: %w", method, address, err)
	}
	return answer, nil
}

func (p *Port) call(ctx context.Context, t target, method string, body []byte) ([]byte, error) {
	p.calls.Add(1)
	switch {
	case method == "" || len(method) > maxMethod:
		return nil, &Refusal{CodeTooLarge, fmt.Sprintf("method name of %d bytes, want 1 to %d", len(method), maxMethod)}
	case len(body) > MaxMessage:
		return nil, &Refusal{CodeTooLarge, fmt.Sprintf("request of %d bytes is above the limit of %d", len(body), MaxMessage)}
	case p.ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, errClosed)
	}
	a, err := p.exchange(ctx, t, &request{method: method, body: body})
	switch {
	case err != nil:
		return nil, err
	case a.status == statusRefused:
		return nil, &Refusal{Code: a.code, Text: a.text}
	case a.status == statusNotRun:
		return nil, fmt.Errorf("%w: %s", ErrUnreachable, a.text)
	}
	return a.body, nil
}

// Handler answers a call. from is the node that asks: proven by its certificate
// when the port has TLS, else what it says of itself. An error that is or wraps
// a [*Refusal] reaches the caller as such; any other one as its text, in a
// Refusal without a code. request and response may be kept, but not changed.
//
// ctx ends at the caller's deadline, when the caller gives up, and when the port
// closes. Handlers run side by side, also those of one caller.
type Handler func(ctx context.Context, from, method string, request []byte) (response []byte, err error)

// Refusal is an answer that says no, with a stable code that the caller can act
// on.
type Refusal struct {
	Code string
	Text string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// CodeTooLarge is the code of a [Refusal] by this package: a request that was
// not sent, or the response to a call that was carried out, is above its limit.
const CodeTooLarge = "too_large"

var (
	// ErrUnreachable: the call was not made; the node has not seen it.
	ErrUnreachable = errors.New("node is not reachable")
	// ErrBroken: the call was made and its answer was lost: the node may have
	// carried it out.
	ErrBroken = errors.New("connection broke before the answer")

	errClosed = errors.New("peer port is closed")
)

// MaxMessage bounds a request and a response, in bytes. What is larger is
// refused on the side that sends it.
const MaxMessage = 16 << 20
