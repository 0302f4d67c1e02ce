package node

import (
	"context"
	"fmt"

	"anabranch.dev/connectors"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// handle answers another node. It implements [peer.Handler].
func (n *Node) handle(ctx context.Context, from, method string, request []byte) ([]byte, error) {
	select {
	case <-n.opened:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	b, err := n.dispatch(ctx, from, method, request)
	return b, refusalOf(err)
}

func (n *Node) dispatch(ctx context.Context, from, method string, b []byte) ([]byte, error) {
	if method != callHello && !n.admits(from) {
		return nil, fmt.Errorf("node %s was removed from the cluster", from)
	}
	switch method {
	case callHello:
		return serve(n, method, b, func(q *hello) (*hello, error) { return n.greeted(from, q), nil })
	case callForm:
		return serve(n, method, b, func(q *formRequest) (*nothing, error) { return &nothing{}, n.promise(q) })
	case callFormed:
		return serve(n, method, b, func(q *formRequest) (*nothing, error) { return &nothing{}, n.toldFormed(q) })
	}
	if !n.isFormed() {
		return nil, fmt.Errorf("%w: node %s is %s", connectors.ErrUnavailable, n.cfg.ID, waitingForInit)
	}
	switch method {
	case callAdmit:
		return serve(n, method, b, func(q *replicaRequest) (*admitAnswer, error) { return n.admit(ctx, q) })
	case callRemove:
		return serve(n, method, b, func(q *replicaRequest) (*nothing, error) { return &nothing{}, n.remove(ctx, q) })
	case callDigests:
		return serve(n, method, b, n.digests)
	case callStatus:
		return serve(n, method, b, func(*nothing) (*statusAnswer, error) { return n.ownStatus(ctx) })
	case callLanes:
		return serve(n, method, b, func(q *lanesRequest) (*nothing, error) { return n.lanesHere(q), nil })
	case callHoldLanes, callBeginCopy, callReleaseLanes, callCopied, callReadCopy, callDropCopy:
		return n.dispatchCopy(ctx, method, b)
	case callShards:
		return serve(n, method, b, func(q *groupRequest) (*shardsAnswer, error) { return n.shardsHere(ctx, q) })
	}
	return n.dispatchToLeader(ctx, method, b)
}

// dispatchToLeader answers what only the leader of a group may.
func (n *Node) dispatchToLeader(ctx context.Context, method string, b []byte) ([]byte, error) {
	switch method {
	case callAsk:
		return serve(n, method, b, func(q *askRequest) (*askAnswer, error) { return n.askHere(ctx, q) })
	case callSubmit:
		return serve(n, method, b, func(q *submitRequest) (*replyAnswer, error) { return n.submitHere(ctx, q) })
	case callFindDecision:
		return serve(n, method, b, func(q *idRequest) (*decisionAnswer, error) { return n.findDecisionHere(ctx, q) })
	case callDeadLetters:
		return serve(n, method, b, func(q *lettersRequest) (*lettersAnswer, error) { return n.deadLettersHere(ctx, q) })
	case callDeadLetter:
		return serve(n, method, b, func(q *idRequest) (*lettersAnswer, error) { return n.deadLetterHere(ctx, q) })
	case callRedrive:
		return serve(n, method, b, func(q *idRequest) (*replyAnswer, error) { return n.redriveHere(ctx, q) })
	case callAdvance:
		return serve(n, method, b, func(q *advanceRequest) (*advanceAnswer, error) { return n.advanceHere(ctx, q) })
	case callSkip:
		return serve(n, method, b, func(q *skipRequest) (*nothing, error) { return &nothing{}, n.skipHere(ctx, q) })
	case callMove:
		return serve(n, method, b, func(q *moveRequest) (*replyAnswer, error) { return n.moveHere(ctx, q) })
	case callMoving:
		return serve(n, method, b, func(q *moveRequest) (*replyAnswer, error) { return n.movingHere(ctx, q) })
	case callImport:
		return serve(n, method, b, func(q *importRequest) (*replyAnswer, error) { return n.importHere(ctx, q) })
	case callOpened:
		return serve(n, method, b, func(q *groupRequest) (*openedAnswer, error) { return n.openedHere(ctx, q) })
	case callMembers:
		return serve(n, method, b, func(q *membersRequest) (*membersAnswer, error) { return n.membersHere(ctx, q) })
	case callRaise:
		return serve(n, method, b, func(q *raiseRequest) (*nothing, error) { return &nothing{}, n.raiseHere(ctx, q) })
	case callTransfer:
		return serve(n, method, b, func(q *transferRequest) (*nothing, error) { return &nothing{}, n.transferHere(ctx, q) })
	}
	return nil, fmt.Errorf("no call is named %s in this version", method)
}

// serve decodes a request, has it answered and encodes the answer.
func serve[Q, A any, PQ visitable[Q], PA visitable[A]](n *Node, method string, request []byte, fn func(q *Q) (*A, error)) ([]byte, error) {
	q, err := decode[Q, PQ](n, method, request)
	if err != nil {
		return nil, err
	}
	a, err := fn(q)
	if err != nil {
		return nil, err
	}
	level, err := codec.Level(request)
	if err != nil {
		return nil, err
	}
	return n.cfg.Codec.Append(nil, level, state.Visitable(PA(a)))
}
