package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"anabranch.dev/connectors"
	"anabranch.dev/operators"
)

// Problem is an RFC 9457 problem document. Code is stable; Detail is for
// people.
type Problem struct {
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail"`
	Code       string `json:"code" doc:"stable reason"`
	DeadLetter string `json:"dead_letter,omitempty" doc:"id of the dead letter, if the event became one"`

	retryAfter   string
	authenticate string
}

// Codes of problems that the API itself gives. Others are the codes of dead
// letters.
const (
	codeUnavailable  = "unavailable"
	codeUnknown      = "outcome_unknown"
	codeNotFound     = "not_found"
	codeOverloaded   = "overloaded"
	codeTimeout      = "timeout"
	codeInternal     = "internal"
	codeBadParameter = "bad_parameter"
	codeKeyMissing   = "idempotency_key_missing"
	codeKeyReused    = "idempotency_key_reused"
	codeOrderExists  = "order_exists"
	codeManyEvents   = "not_one_event"
	codeWrongType    = "wrong_type"
	codeBadRequest   = "bad_request"
	codeTooLarge     = "too_large"
	codeTokenMissing = "token_missing"
	codeRefused      = "refused"
	codeMediaType    = "media_type_unsupported"
	codeUnknownPath  = "unknown_path"
	codeMethod       = "method_not_allowed"
)

// codesOf lists the API's own codes by status, for the OpenAPI document.
var codesOf = map[int][]string{
	http.StatusBadRequest:            {codeBadRequest, codeBadParameter, codeKeyMissing, operators.CodeKeyInvalid},
	http.StatusUnauthorized:          {codeTokenMissing},
	http.StatusNotFound:              {codeNotFound, codeUnknownPath},
	http.StatusRequestTimeout:        {codeTimeout},
	http.StatusConflict:              {codeOrderExists, codeRefused},
	http.StatusRequestEntityTooLarge: {codeTooLarge},
	http.StatusUnsupportedMediaType:  {codeMediaType},
	http.StatusUnprocessableEntity:   {codeBadParameter, codeKeyReused, codeManyEvents, codeWrongType, "and those of dead letters"},
	http.StatusTooManyRequests:       {codeOverloaded},
	http.StatusServiceUnavailable:    {codeUnavailable},
	http.StatusGatewayTimeout:        {codeUnknown, codeTimeout},
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter != "" {
		h.Set("Retry-After", p.retryAfter)
	}
	if p.authenticate != "" {
		h.Set("WWW-Authenticate", p.authenticate)
	}
	return h
}

func problem(status int, code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// problemOf turns an error of the cluster into a problem; what says what was
// asked for.
func problemOf(what string, err error) *Problem {
	detail := what + ": " + err.Error()
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, connectors.ErrNotFound):
		return problem(http.StatusNotFound, codeNotFound, detail)
	case errors.Is(err, connectors.ErrUnavailable):
		p = problem(http.StatusServiceUnavailable, codeUnavailable, detail)
		p.retryAfter = "1"
		return p
	case errors.Is(err, connectors.ErrOverloaded):
		p = problem(http.StatusTooManyRequests, codeOverloaded, detail)
		p.retryAfter = "1"
		return p
	case errors.Is(err, connectors.ErrUnknown):
		return problem(http.StatusGatewayTimeout, codeUnknown, detail)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem(http.StatusGatewayTimeout, codeTimeout, detail)
	}
	return problem(http.StatusInternalServerError, codeInternal, detail)
}

// problemOfCommand is problemOf for what may have happened all the same: when
// time ran out, the outcome is unknown.
func problemOfCommand(what string, err error) *Problem {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", connectors.ErrUnknown, err)
	}
	return problemOf(what, err)
}

// ownProblem turns what huma refuses (parameters, bodies) into a Problem, so
// that every error has a code.
func ownProblem(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := problem(m.Status, codeBadParameter, m.Detail)
	switch m.Status {
	case http.StatusBadRequest:
		p.Code = codeBadRequest
	case http.StatusRequestEntityTooLarge:
		p.Code = codeTooLarge
	case http.StatusUnsupportedMediaType:
		p.Code = codeMediaType
	case http.StatusRequestTimeout:
		p.Code = codeTimeout
	case http.StatusInternalServerError:
		p.Code = codeInternal
	}
	for _, e := range m.Errors {
		p.Detail += "; " + e.Error()
	}
	return p, nil
}

// writeProblem answers outside of huma.
func writeProblem(w http.ResponseWriter, p *Problem) {
	p.Title = http.StatusText(p.Status)
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	// The status is out: a failing write means that the client has gone.
	_ = json.NewEncoder(w).Encode(p)
}

var _ huma.StatusError = (*Problem)(nil)
