package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"anabranch.dev/connectors"
	"anabranch.dev/topology"
)

// Config of the API. Cluster, Plan, Decoder and Encoder are required.
type Config struct {
	Cluster connectors.Cluster
	// Plan names the event types, queries and their fields, for routing of
	// bodies and for the OpenAPI document.
	Plan *topology.Plan
	// Decoder turns bodies into events, and pseudonymises them.
	Decoder connectors.Decoder
	// Encoder turns records of the live feed into JSON.
	Encoder connectors.Encoder
	// Metrics serves /metrics; without it there is no such path.
	Metrics http.Handler
	// Version of the program, for the OpenAPI document.
	Version string
	// MaxBodyBytes limits a request body; 0: 1 MiB.
	MaxBodyBytes int64
	// Timeout is how long a request may take; 0: 10 s. The live feed has none.
	Timeout time.Duration
	// Tokens are those of which a request must show one to reach anything below
	// /v1; none: nobody is asked.
	Tokens []string
	// RequestRate is how many queries and commands are taken per second; 0:
	// any number. Status and feeds are not counted.
	RequestRate int
}

// Validate reports every fault of the configuration.
func (c *Config) Validate() error {
	var faults []error
	need := func(ok bool, name string) {
		if !ok {
			faults = append(faults, errors.New("httpapi: "+name+" is missing"))
		}
	}
	need(c.Cluster != nil, "Cluster")
	need(c.Plan != nil, "Plan")
	need(c.Decoder != nil, "Decoder")
	need(c.Encoder != nil, "Encoder")
	if c.MaxBodyBytes < 0 {
		faults = append(faults, errors.New("httpapi: MaxBodyBytes is negative"))
	}
	if c.Timeout < 0 {
		faults = append(faults, errors.New("httpapi: Timeout is negative"))
	}
	if c.RequestRate < 0 {
		faults = append(faults, errors.New("httpapi: RequestRate is negative"))
	}
	return errors.Join(faults...)
}

// api holds what handlers share. It is not changed after New.
type api struct {
	cfg     Config
	huma    huma.API
	schemas *schemas
	feeds   *feeds
}

// New builds the handler of the whole API.
func New(cfg Config) (http.Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	_, mux := newAPI(cfg)
	if cfg.Metrics != nil {
		mux.Handle("GET /metrics", cfg.Metrics)
	}
	registerConsole(mux)
	mux.HandleFunc("/", unknownPath(mux))
	return guard(&cfg, mux), nil
}

// OpenAPI is the OpenAPI document of the operations for a plan.
func OpenAPI(plan *topology.Plan, version string) ([]byte, error) {
	a, _ := newAPI(Config{Plan: plan, Version: version})
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(a.huma.OpenAPI()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// newAPI registers all operations.
func newAPI(cfg Config) (*api, *http.ServeMux) {
	if cfg.MaxBodyBytes == 0 {
		cfg.MaxBodyBytes = 1 << 20
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	mux := http.NewServeMux()
	hc := huma.DefaultConfig("Anabranch", cfg.Version)
	hc.Info.Description = "Live stock, orders and allocation decisions of an Anabranch cluster."
	hc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer", Description: "where the node has tokens"}}
	hc.Security = []map[string][]string{{}, {"token": {}}}
	hc.DocsPath = ""     // the stock page loads scripts from elsewhere
	hc.CreateHooks = nil // no $schema fields in bodies
	hc.SchemasPath = ""
	hc.Transformers = []huma.Transformer{ownProblem}
	a := &api{cfg: cfg, huma: humago.New(mux, hc), feeds: &feeds{cfg: &cfg}}
	a.schemas = newSchemas(a.huma.OpenAPI().Components.Schemas)
	a.huma.UseMiddleware(a.deadline)

	a.registerQueries()
	a.registerCommands()
	a.registerDeadLetters()
	a.registerStatus()
	a.registerCluster()
	a.registerMembers()
	a.registerUpgrade()
	a.registerSnapshots()
	a.registerLive()
	return a, mux
}

// deadline bounds every request but the live feed.
func (a *api) deadline(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().Path == livePath {
		next(ctx)
		return
	}
	bounded, cancel := context.WithTimeout(ctx.Context(), a.cfg.Timeout)
	defer cancel()
	next(huma.WithContext(ctx, bounded))
}

// raw is an answer whose JSON was made by connectors/wire.
type raw struct {
	Index       uint64 `header:"Anabranch-Index" doc:"log index that the answer is good for"`
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func rawJSON(index uint64, body []byte) *raw {
	return &raw{Index: index, ContentType: "application/json", Body: body}
}

// unknownPath answers what no route takes with a problem document: 405 where
// another method is served, else 404.
func unknownPath(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) > 0 {
			for _, m := range allowed {
				w.Header().Add("Allow", m)
			}
			writeProblem(w, &Problem{Status: http.StatusMethodNotAllowed, Code: codeMethod,
				Detail: r.Method + " is not served at " + r.URL.Path})
			return
		}
		writeProblem(w, &Problem{Status: http.StatusNotFound, Code: codeUnknownPath,
			Detail: "nothing is served at " + r.URL.Path + "; see /openapi.json"})
	}
}
