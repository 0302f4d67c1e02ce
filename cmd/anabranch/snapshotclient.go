package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/state"
)

// snapshotClient takes and fetches snapshots over HTTP.
type snapshotClient struct{ *client }

var _ connectors.Snapshots = (*snapshotClient)(nil)

const (
	snapshotPatience = 10 * time.Minute // for files that are being written
	snapshotAgain    = 200 * time.Millisecond
)

// TakeSnapshot implements [connectors.Snapshots], as do the methods below.
func (s *snapshotClient) TakeSnapshot(ctx context.Context) (connectors.Snapshot, error) {
	answer, err := s.post(ctx, nil, nil, "v1", "cluster", "snapshots")
	if err != nil {
		return connectors.Snapshot{}, err
	}
	return s.decode(answer)
}

// DescribeSnapshot asks again while files are being written.
func (s *snapshotClient) DescribeSnapshot(ctx context.Context, id string) (connectors.Snapshot, error) {
	answer, err := s.again(ctx, nil, id)
	if err != nil {
		return connectors.Snapshot{}, err
	}
	return s.decode(answer)
}

// again asks for what a node may not be able to tell for a moment.
func (s *snapshotClient) again(ctx context.Context, query url.Values, segments ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	for {
		answer, err := s.get(ctx, query, append([]string{"v1", "cluster", "snapshots"}, segments...)...)
		var p *problem
		if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable && p.Status != http.StatusGatewayTimeout {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(snapshotAgain):
		}
	}
}

func (s *snapshotClient) ReadSnapshot(ctx context.Context, id string, group int, file string, offset int64) ([]byte, error) {
	return s.again(ctx, url.Values{"group": {strconv.Itoa(group)}, "name": {file}, "offset": {strconv.FormatInt(offset, 10)}}, id, "file")
}

func (s *snapshotClient) DropSnapshot(ctx context.Context, id string) error {
	_, err := s.post(ctx, nil, nil, "v1", "cluster", "snapshots", id, "drop")
	return err
}

// decode reads an answer that describes a snapshot.
func (s *snapshotClient) decode(answer []byte) (connectors.Snapshot, error) {
	got, err := decode[struct {
		ID           string
		Cluster      string
		Incarnation  uint64
		Topology     string
		FeatureLevel int `json:"feature_level"`
		Version      string
		Shards       int
		Clock        string
		LatenessUS   int64 `json:"lateness_us"`
		Fingerprint  string
		Groups       []struct {
			Group       int
			Node        string
			Index, Term uint64
			LogTime     json.RawMessage `json:"log_time"`
			Files       []connectors.SnapshotFile
		}
	}](s.client, answer)
	if err != nil {
		return connectors.Snapshot{}, err
	}
	out := connectors.Snapshot{ID: got.ID, Cluster: got.Cluster, Incarnation: got.Incarnation, Topology: got.Topology, FeatureLevel: got.FeatureLevel,
		Version: got.Version, Shards: got.Shards, Groups: len(got.Groups), Clock: got.Clock, Lateness: time.Duration(got.LatenessUS) * time.Microsecond,
		Fingerprint: got.Fingerprint}
	for _, g := range got.Groups {
		part := connectors.SnapshotPart{Group: g.Group, Node: g.Node, Index: g.Index, Term: g.Term, Files: g.Files}
		if len(g.LogTime) > 0 {
			var at time.Time
			if err := json.Unmarshal(g.LogTime, &at); err != nil {
				return connectors.Snapshot{}, err
			}
			part.LogTime = state.TimeOf(at)
		}
		out.Parts = append(out.Parts, part)
	}
	return out, nil
}
