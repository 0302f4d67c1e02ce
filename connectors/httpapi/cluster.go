package httpapi

import (
	"context"
	"net/http"
	"time"
)

type initAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  struct {
		Formed bool `json:"formed"`
	}
}

type transferInput struct {
	Body struct {
		Group int    `json:"group" minimum:"0"`
		To    string `json:"to,omitempty" doc:"node id; without it any other that is caught up"`
	}
}

type transferAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  struct {
		Group  int    `json:"group"`
		From   string `json:"from" doc:"node that led before"`
		Leader string `json:"leader" doc:"node that leads now"`
		TookUS int64  `json:"took_us" doc:"until the old leader had handed over, in microseconds"`
	}
}

type moveInput struct {
	Body struct {
		Shard int `json:"shard" minimum:"0"`
		Group int `json:"group" minimum:"0" doc:"group that the shard shall belong to"`
	}
}

type moveAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  struct {
		Shard  int   `json:"shard"`
		Group  int   `json:"group" doc:"group that it belongs to now"`
		TookUS int64 `json:"took_us" doc:"until it was there, in microseconds"`
	}
}

func (a *api) registerCluster() {
	register(a, http.MethodPost, "/v1/cluster/move", "move-shard", "Move a shard to another group", a.move)
	register(a, http.MethodPost, "/v1/cluster/init", "init-cluster", "Form a new cluster of the nodes that this one was told to join", a.initCluster)
	register(a, http.MethodPost, "/v1/cluster/transfer", "transfer", "Hand the leadership of a group to another node", a.transfer)
}

func (a *api) initCluster(ctx context.Context, _ *struct{}) (*initAnswer, error) {
	if err := a.cfg.Cluster.Init(ctx); err != nil {
		return nil, refused(problemOfCommand("form cluster", err))
	}
	index, err := a.applied(ctx)
	if err != nil {
		return nil, problemOf("the cluster is formed; status", err)
	}
	out := &initAnswer{Index: index}
	out.Body.Formed = true
	return out, nil
}

// refused says of a command about the cluster what an unclassified error means:
// as things are, it can't be done.
func refused(p *Problem) *Problem {
	if p.Code == codeInternal {
		return problem(http.StatusConflict, codeRefused, p.Detail)
	}
	return p
}

func (a *api) transfer(ctx context.Context, in *transferInput) (*transferAnswer, error) {
	out := &transferAnswer{}
	out.Body.Group = in.Body.Group
	var err error
	if out.Body.From, _, err = a.leaderOf(ctx, in.Body.Group); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := a.cfg.Cluster.Transfer(ctx, in.Body.Group, in.Body.To); err != nil {
		return nil, refused(problemOfCommand("transfer", err))
	}
	out.Body.TookUS = time.Since(start).Microseconds()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		// The old leader is gone before this node has heard of the new one.
		if out.Body.Leader, out.Index, err = a.leaderOf(ctx, in.Body.Group); err != nil {
			return nil, err
		}
		if out.Body.Leader != "" && (out.Body.Leader != out.Body.From || in.Body.To == out.Body.From) {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, problemOfCommand("transfer is done; new leader", ctx.Err())
		case <-again.C:
		}
	}
}

func (a *api) move(ctx context.Context, in *moveInput) (*moveAnswer, error) {
	start := time.Now()
	if err := a.cfg.Cluster.Move(ctx, in.Body.Shard, in.Body.Group); err != nil {
		return nil, refused(problemOfCommand("move", err))
	}
	out := &moveAnswer{}
	out.Body.Shard, out.Body.Group, out.Body.TookUS = in.Body.Shard, in.Body.Group, time.Since(start).Microseconds()
	index, err := a.applied(ctx)
	if err != nil {
		return nil, problemOf("the shard has moved; status", err)
	}
	out.Index = index
	return out, nil
}

// leaderOf is the leader of a group, and what this node has applied of it.
func (a *api) leaderOf(ctx context.Context, group int) (leader string, applied uint64, err error) {
	g, err := a.group(ctx, &groupInput{Group: group})
	if err != nil {
		return "", 0, err
	}
	return g.Body.Leader, g.Body.Applied, nil
}
