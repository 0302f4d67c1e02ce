package httpapi

import (
	"context"
	"net/http"
)

type upgradeAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  struct {
		Before int `json:"before" doc:"lowest feature level that was in force in a group"`
		Level  int `json:"level" doc:"feature level that is in force now"`
	}
}

func (a *api) registerUpgrade() {
	register(a, http.MethodPost, "/v1/cluster/upgrade", "upgrade-cluster", "Put the feature level in force that all nodes know now; there is no way back",
		func(ctx context.Context, _ *struct{}) (*upgradeAnswer, error) {
			u, err := a.cfg.Cluster.Upgrade(ctx)
			if err != nil {
				return nil, refused(problemOfCommand("upgrade", err))
			}
			out := &upgradeAnswer{}
			out.Body.Before, out.Body.Level = u.Before, u.Level
			if out.Index, err = a.applied(ctx); err != nil {
				return nil, problemOf("upgrade is done; status", err)
			}
			return out, nil
		})
}
