package httpapi

import (
	"context"
	"net/http"

	"anabranch.dev/connectors"
)

type addInput struct {
	Body struct {
		Node string `json:"node" minLength:"1" maxLength:"64" doc:"id of the node"`
		Peer string `json:"peer" minLength:"1" maxLength:"300" doc:"where the other nodes reach it, host:port"`
	}
}

type drainInput struct {
	Body struct {
		Node string `json:"node" minLength:"1" maxLength:"64" doc:"id of the node"`
		Undo bool   `json:"undo,omitempty" doc:"it may lead again"`
	}
}

type removeInput struct {
	Body struct {
		Node  string `json:"node" minLength:"1" maxLength:"64" doc:"id of the node"`
		Force bool   `json:"force,omitempty" doc:"also one that was not drained, if it does not answer"`
	}
}

type membershipAnswer struct {
	Index uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	Body  struct {
		Node    string `json:"node"`
		State   string `json:"state" enum:"member,joining,draining,leaving,removed" doc:"where it stands; what follows from it is carried out by and by"`
		Members int    `json:"members" doc:"nodes of the cluster"`
		Version uint64 `json:"version" doc:"changes of the members since the cluster was formed"`
	}
}

func (a *api) registerMembers() {
	register(a, http.MethodPost, "/v1/cluster/add", "add-node", "Let a node that waits with an empty directory into the running cluster",
		func(ctx context.Context, in *addInput) (*membershipAnswer, error) {
			return a.membership(ctx, "add node", func() (connectors.Membership, error) {
				return a.cfg.Cluster.AddNode(ctx, in.Body.Node, in.Body.Peer)
			})
		})
	register(a, http.MethodPost, "/v1/cluster/drain", "drain-node", "Take the leaderships from a node, or allow them to it again",
		func(ctx context.Context, in *drainInput) (*membershipAnswer, error) {
			return a.membership(ctx, "drain node", func() (connectors.Membership, error) {
				return a.cfg.Cluster.DrainNode(ctx, in.Body.Node, in.Body.Undo)
			})
		})
	register(a, http.MethodPost, "/v1/cluster/remove", "remove-node", "Take a drained node out of the cluster, or one that does not answer",
		func(ctx context.Context, in *removeInput) (*membershipAnswer, error) {
			return a.membership(ctx, "remove node", func() (connectors.Membership, error) {
				return a.cfg.Cluster.RemoveNode(ctx, in.Body.Node, in.Body.Force)
			})
		})
}

// membership makes a change of the members and says what it came to.
func (a *api) membership(ctx context.Context, what string, change func() (connectors.Membership, error)) (*membershipAnswer, error) {
	m, err := change()
	if err != nil {
		return nil, refused(problemOfCommand(what, err))
	}
	out := &membershipAnswer{}
	out.Body.Node, out.Body.State, out.Body.Members, out.Body.Version = m.Node, m.State, m.Members, m.Version
	if out.Index, err = a.applied(ctx); err != nil {
		return nil, problemOf(what+" is decided; status", err)
	}
	return out, nil
}
