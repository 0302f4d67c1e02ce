package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

type clusterAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  clusterBody
}

type groupInput struct {
	Group int `path:"g" minimum:"0"`
}

type groupAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  groupBody
}

type shardsAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  struct {
		Shards []shardBody `json:"shards"`
	}
}

type skipInput struct {
	Body struct {
		Group   int    `json:"group" minimum:"0"`
		Index   uint64 `json:"index" minimum:"1" doc:"entry that halts the group"`
		Message uint64 `json:"message" doc:"message in the entry, from 0"`
	}
}

type skipAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  struct {
		Skipped bool `json:"skipped"`
	}
}

type healthAnswer struct {
	Status int
	Index  uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body   healthBody
}

type healthBody struct {
	Status string `json:"status" example:"ready"`
	Reason string `json:"reason,omitempty"`
}

func (a *api) registerStatus() {
	register(a, http.MethodGet, "/v1/cluster", "get-cluster", "The cluster as this node sees it, and what every node says of itself", a.cluster)
	register(a, http.MethodGet, "/v1/groups/{g}", "get-group", "One group", a.group)
	register(a, http.MethodGet, "/v1/shards", "list-shards", "Every shard with its digest", a.shards)
	register(a, http.MethodPost, "/v1/cluster/skip", "skip", "Step over the message that halts a group", a.skip)
	register(a, http.MethodGet, "/healthz", "healthz", "Alive",
		func(context.Context, *struct{}) (*healthAnswer, error) {
			return &healthAnswer{Status: http.StatusOK, Body: healthBody{Status: "alive"}}, nil
		})
	register(a, http.MethodGet, "/readyz", "readyz", "Caught up and able to decide", a.ready)
	responses := a.huma.OpenAPI().Paths["/readyz"].Get.Responses
	notReady := *responses[strconv.Itoa(http.StatusOK)]
	notReady.Description = "Not able to decide now, with the reason."
	responses[strconv.Itoa(http.StatusServiceUnavailable)] = &notReady
}

// register registers an operation with typed bodies.
func register[I, O any](a *api, method, path, id, summary string, fn func(context.Context, *I) (*O, error)) {
	huma.Register(a.huma, huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary}, fn)
	item := a.huma.OpenAPI().Paths[path]
	op := item.Get
	if method == http.MethodPost {
		op = item.Post
	}
	a.schemas.document(path, op, nil, nil)
}

func (a *api) cluster(ctx context.Context, _ *struct{}) (*clusterAnswer, error) {
	s, err := a.cfg.Cluster.Status(ctx)
	if err != nil {
		return nil, problemOf("status", err)
	}
	nodes, err := a.cfg.Cluster.Nodes(ctx)
	return &clusterAnswer{Index: appliedOf(s), Body: clusterOf(s, nodes, err)}, nil
}

// applied is an index that everything read afterwards includes.
func (a *api) applied(ctx context.Context) (uint64, error) {
	s, err := a.cfg.Cluster.Status(ctx)
	if err != nil {
		return 0, err
	}
	return appliedOf(s), nil
}

func (a *api) group(ctx context.Context, in *groupInput) (*groupAnswer, error) {
	s, err := a.cfg.Cluster.Status(ctx)
	if err != nil {
		return nil, problemOf("status", err)
	}
	for _, g := range s.Groups {
		if g.Group == in.Group {
			return &groupAnswer{Index: g.Applied, Body: groupOf(g)}, nil
		}
	}
	return nil, problem(http.StatusNotFound, codeNotFound, "there is no group "+strconv.Itoa(in.Group))
}

func (a *api) shards(ctx context.Context, _ *struct{}) (*shardsAnswer, error) {
	list, err := a.cfg.Cluster.Shards(ctx)
	if err != nil {
		return nil, problemOf("shards", err)
	}
	out := &shardsAnswer{}
	out.Body.Shards = make([]shardBody, len(list))
	for i, s := range list {
		out.Body.Shards[i] = shardBody(s)
		if out.Index == 0 || s.Index < out.Index {
			out.Index = s.Index
		}
	}
	return out, nil
}

func (a *api) skip(ctx context.Context, in *skipInput) (*skipAnswer, error) {
	if err := a.cfg.Cluster.Skip(ctx, in.Body.Group, in.Body.Index, in.Body.Message); err != nil {
		return nil, problemOfCommand("skip", err)
	}
	index, err := a.applied(ctx)
	if err != nil {
		return nil, problemOf("skip is done; status", err)
	}
	out := &skipAnswer{Index: index}
	out.Body.Skipped = true
	return out, nil
}

func (a *api) ready(ctx context.Context, _ *struct{}) (*healthAnswer, error) {
	s, err := a.cfg.Cluster.Status(ctx)
	if err != nil {
		return nil, problemOf("status", err)
	}
	if !s.Ready {
		return &healthAnswer{Status: http.StatusServiceUnavailable, Index: appliedOf(s),
			Body: healthBody{Status: "not ready", Reason: s.NotReady}}, nil
	}
	return &healthAnswer{Status: http.StatusOK, Index: appliedOf(s), Body: healthBody{Status: "ready"}}, nil
}
