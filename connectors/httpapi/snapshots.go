package httpapi

import (
	"context"
	"net/http"

	"anabranch.dev/connectors"
)

const snapshotsPath = "/v1/cluster/snapshots"

type snapshotAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  snapshotBody
}

type snapshotBody struct {
	ID           string             `json:"id"`
	Cluster      string             `json:"cluster"`
	Incarnation  uint64             `json:"incarnation"`
	Topology     string             `json:"topology"`
	FeatureLevel int                `json:"feature_level"`
	Version      string             `json:"version"`
	Shards       int                `json:"shards"`
	Clock        string             `json:"clock" enum:"wall,replay"`
	LatenessUS   int64              `json:"lateness_us" doc:"of watermarks, in microseconds"`
	Fingerprint  string             `json:"fingerprint" doc:"of the pseudonym key"`
	Groups       []snapshotPartBody `json:"groups"`
}

type snapshotPartBody struct {
	Group   int                `json:"group"`
	Node    string             `json:"node" doc:"that has the files"`
	Index   uint64             `json:"index" doc:"last entry that is in it"`
	Term    uint64             `json:"term"`
	LogTime string             `json:"log_time,omitempty" format:"date-time"`
	Files   []snapshotFileBody `json:"files" doc:"none while they are being written"`
}

type snapshotFileBody struct {
	Name string `json:"name"`
	Size int64  `json:"size" doc:"in bytes"`
}

type snapshotInput struct {
	ID string `path:"id" maxLength:"64"`
}

type snapshotFileInput struct {
	ID     string `path:"id" maxLength:"64"`
	Group  int    `query:"group" minimum:"0"`
	Name   string `query:"name" required:"true" maxLength:"255"`
	Offset int64  `query:"offset" minimum:"0" doc:"byte to read from"`
}

type snapshotFileAnswer struct {
	Index       uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	ContentType string `header:"Content-Type"`
	Body        []byte
}

type droppedAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  struct {
		Dropped bool `json:"dropped"`
	}
}

func (a *api) registerSnapshots() {
	register(a, http.MethodPost, snapshotsPath, "take-snapshot", "Take one consistent cut of all groups, beside their work; its files are fetched afterwards", a.takeSnapshot)
	register(a, http.MethodGet, snapshotsPath+"/{id}", "get-snapshot", "Wait until a snapshot's files are written, and list them", a.snapshot)
	register(a, http.MethodGet, snapshotsPath+"/{id}/file", "read-snapshot", "Bytes of a snapshot's file, from an offset on; none at its end", a.readSnapshot)
	register(a, http.MethodPost, snapshotsPath+"/{id}/drop", "drop-snapshot", "Delete a snapshot's files on the nodes; what nobody reads for five minutes is deleted anyway", a.dropSnapshot)
}

func (a *api) takeSnapshot(ctx context.Context, _ *struct{}) (*snapshotAnswer, error) {
	s, err := a.cfg.Cluster.TakeSnapshot(ctx)
	if err != nil {
		return nil, problemOf("snapshot", err)
	}
	return a.snapshotAnswer(ctx, &s)
}

func (a *api) snapshot(ctx context.Context, in *snapshotInput) (*snapshotAnswer, error) {
	s, err := a.cfg.Cluster.DescribeSnapshot(ctx, in.ID)
	if err != nil {
		return nil, problemOf("snapshot", err)
	}
	return a.snapshotAnswer(ctx, &s)
}

func (a *api) snapshotAnswer(ctx context.Context, s *connectors.Snapshot) (*snapshotAnswer, error) {
	index, err := a.applied(ctx)
	if err != nil {
		return nil, problemOf("status", err)
	}
	out := &snapshotAnswer{Index: index, Body: snapshotBody{ID: s.ID, Cluster: s.Cluster, Incarnation: s.Incarnation, Topology: s.Topology,
		FeatureLevel: s.FeatureLevel, Version: s.Version, Shards: s.Shards, Clock: s.Clock, LatenessUS: s.Lateness.Microseconds(),
		Fingerprint: s.Fingerprint, Groups: []snapshotPartBody{}}}
	for _, p := range s.Parts {
		part := snapshotPartBody{Group: p.Group, Node: p.Node, Index: p.Index, Term: p.Term, LogTime: timeText(p.LogTime), Files: []snapshotFileBody{}}
		for _, f := range p.Files {
			part.Files = append(part.Files, snapshotFileBody(f))
		}
		out.Body.Groups = append(out.Body.Groups, part)
	}
	return out, nil
}

func (a *api) readSnapshot(ctx context.Context, in *snapshotFileInput) (*snapshotFileAnswer, error) {
	b, err := a.cfg.Cluster.ReadSnapshot(ctx, in.ID, in.Group, in.Name, in.Offset)
	if err != nil {
		return nil, problemOf("snapshot", err)
	}
	index, err := a.applied(ctx)
	if err != nil {
		return nil, problemOf("status", err)
	}
	return &snapshotFileAnswer{Index: index, ContentType: "application/octet-stream", Body: b}, nil
}

func (a *api) dropSnapshot(ctx context.Context, in *snapshotInput) (*droppedAnswer, error) {
	if err := a.cfg.Cluster.DropSnapshot(ctx, in.ID); err != nil {
		return nil, problemOfCommand("drop snapshot", err)
	}
	index, err := a.applied(ctx)
	if err != nil {
		return nil, problemOf("the snapshot is dropped; status", err)
	}
	out := &droppedAnswer{Index: index}
	out.Body.Dropped = true
	return out, nil
}
