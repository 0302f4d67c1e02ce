package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators"
	"anabranch.dev/state"
)

type stockInput struct {
	Consistency string `query:"consistency" enum:"linearizable,stale" default:"linearizable" doc:"linearizable: after everything acknowledged; stale: this node's replica, which may be behind"`
	SKU         string `path:"sku"`
	Near        string `query:"near" doc:"LAT,LON in degrees: places sorted by distance" example:"39.93,116.45"`
}

type orderInput struct {
	Consistency string `query:"consistency" enum:"linearizable,stale" default:"linearizable" doc:"linearizable: after everything acknowledged; stale: this node's replica, which may be behind"`
	Order       string `path:"order"`
}

type decisionInput struct {
	Consistency string `query:"consistency" enum:"linearizable,stale" default:"linearizable" doc:"linearizable: after everything acknowledged; stale: this node's replica, which may be behind"`
	ID          string `path:"id" doc:"decision id"`
}

type policyInput struct {
	Consistency string `query:"consistency" enum:"linearizable,stale" default:"linearizable" doc:"linearizable: after everything acknowledged; stale: this node's replica, which may be behind"`
	Name        string `path:"name"`
	History     bool   `query:"history" doc:"with all kept versions, newest first"`
}

type totalsInput struct {
	Consistency string `query:"consistency" enum:"linearizable,stale" default:"linearizable" doc:"linearizable: after everything acknowledged; stale: this node's replica, which may be behind"`
	Currency    string `path:"currency" doc:"ISO 4217"`
}

func (a *api) registerQueries() {
	get(a, "/v1/stock/{sku}", "get-stock", "Stock of an SKU per location and pool",
		a.schemas.answer(a.cfg.Plan, "inventory", "stock", "Stock"), a.stock)
	get(a, "/v1/orders/{order}", "get-order", "An order with its attempts and their explanation",
		a.schemas.answer(a.cfg.Plan, "allocation", "order", "Order"),
		func(ctx context.Context, in *orderInput) (*raw, error) {
			return a.ask(ctx, "allocation", "order", in.Order, &fields{bools: map[string]bool{"explained": true}}, in.Consistency)
		})
	get(a, "/v1/decisions/{id}", "get-decision", "A decision with its full explanation",
		a.schemas.answer(a.cfg.Plan, "allocation", "decision", "Decision"),
		func(ctx context.Context, in *decisionInput) (*raw, error) {
			return a.decision(ctx, in.ID, in.Consistency)
		})
	get(a, "/v1/policies/{name}", "get-policy", "The policy in force",
		a.schemas.answer(a.cfg.Plan, "policy", "policy", "Policy"),
		func(ctx context.Context, in *policyInput) (*raw, error) {
			return a.ask(ctx, "policy", "policy", in.Name, &fields{bools: map[string]bool{"history": in.History}}, in.Consistency)
		})
	get(a, "/v1/totals/{currency}", "get-totals", "Documents, lines, units and amounts per outcome",
		a.schemas.answer(a.cfg.Plan, "totals", "totals", "Totals"),
		func(ctx context.Context, in *totalsInput) (*raw, error) {
			return a.ask(ctx, "totals", "totals", in.Currency, nil, in.Consistency)
		})
}

// get registers a GET operation whose answer is described by schema.
func get[I any](a *api, path, id, summary string, schema *huma.Schema, fn func(context.Context, *I) (*raw, error)) {
	op := huma.Operation{Method: http.MethodGet, Path: path, OperationID: id, Summary: summary,
		Responses: map[string]*huma.Response{}}
	huma.Register(a.huma, op, fn)
	a.schemas.document(path, a.huma.OpenAPI().Paths[path].Get, nil, schema)
}

// ask puts a question to a stage and turns the answer into JSON. fill sets the
// question's fields; nil asks the empty question.
func (a *api) ask(ctx context.Context, stage, query, key string, fill *fields, consistency string) (*raw, error) {
	q := a.cfg.Plan.Query(stage, query)
	if q == nil {
		return nil, problem(http.StatusNotFound, codeNotFound, "this topology has no query "+stage+"?"+query)
	}
	if key == "" || len(key) > state.MaxKeyBytes || strings.IndexByte(key, 0) >= 0 {
		return nil, problem(http.StatusBadRequest, operators.CodeKeyInvalid,
			query+": a key has 1 to "+strconv.Itoa(state.MaxKeyBytes)+" bytes and no NUL")
	}
	question := q.NewQuestion()
	if fill != nil {
		question.Visit(fill)
	}
	answer, index, err := a.cfg.Cluster.Ask(ctx, stage, query, key, question, connectors.Consistency(consistency))
	if err != nil {
		return nil, problemOf(query+" "+key, err)
	}
	body, err := wire.MarshalJSON(answer)
	if err != nil {
		return nil, problemOf(query+" "+key, err)
	}
	return rawJSON(index, body), nil
}

func (a *api) stock(ctx context.Context, in *stockInput) (*raw, error) {
	if in.Near == "" {
		return a.ask(ctx, "inventory", "stock", in.SKU, nil, in.Consistency)
	}
	lat, lon, ok := parsePosition(in.Near)
	if !ok {
		return nil, problem(http.StatusBadRequest, codeBadParameter,
			"near must be LAT,LON in degrees, such as near=39.93,116.45; got "+strconv.Quote(in.Near))
	}
	return a.ask(ctx, "inventory", "stock", in.SKU,
		&fields{decimals: map[string]state.Decimal{"lat": lat, "lon": lon}}, in.Consistency)
}

// decision finds the key that made a decision, and asks it.
func (a *api) decision(ctx context.Context, id, consistency string) (*raw, error) {
	stage, key, err := a.cfg.Cluster.FindDecision(ctx, id)
	if err != nil {
		return nil, problemOf("decision "+id, err)
	}
	return a.ask(ctx, stage, "decision", key, &fields{strings: map[string]string{"id": id}}, consistency)
}

// parsePosition reads "LAT,LON" in degrees.
func parsePosition(s string) (lat, lon state.Decimal, ok bool) {
	first, second, found := strings.Cut(s, ",")
	if !found {
		return 0, 0, false
	}
	lat, okLat := parseDegrees(first, 90)
	lon, okLon := parseDegrees(second, 180)
	return lat, lon, okLat && okLon
}

func parseDegrees(s string, limit float64) (state.Decimal, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	// The negated comparison refuses NaN too.
	if err != nil || !(f >= -limit && f <= limit) {
		return 0, false
	}
	if f < 0 {
		return state.Decimal(f*float64(state.One) - 0.5), true
	}
	return state.Decimal(f*float64(state.One) + 0.5), true
}
