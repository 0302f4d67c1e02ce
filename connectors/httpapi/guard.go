package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"golang.org/x/time/rate"
)

// guard lets requests through to the API that may come, and as many as may.
// What tells nothing of the business stays open to monitoring: health, metrics,
// the OpenAPI document and the files of the console page.
func guard(cfg *Config, next http.Handler) http.Handler {
	tokens := make([][sha256.Size]byte, len(cfg.Tokens))
	for i, t := range cfg.Tokens {
		tokens[i] = sha256.Sum256([]byte(t))
	}
	limiter := rate.NewLimiter(rate.Inf, 0)
	if cfg.RequestRate > 0 {
		// A tenth of a second's worth may come at once.
		limiter = rate.NewLimiter(rate.Limit(cfg.RequestRate), max(cfg.RequestRate/10, 1))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v1/") {
			next.ServeHTTP(w, r)
			return
		}
		if len(tokens) > 0 && !shows(r, tokens) {
			p := problem(http.StatusUnauthorized, codeTokenMissing, "this node wants the header Authorization: Bearer with one of its tokens")
			p.authenticate = "Bearer"
			writeProblem(w, p)
			return
		}
		if counted(r.URL.Path) && !limiter.Allow() {
			p := problem(http.StatusTooManyRequests, codeOverloaded, "this node takes no more requests in this second")
			p.retryAfter = "1"
			writeProblem(w, p)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// shows says whether a request carries one of the tokens. How long it takes
// tells nothing about them.
func shows(r *http.Request, tokens [][sha256.Size]byte) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	found := 0
	for i := range tokens {
		found |= subtle.ConstantTimeCompare(sum[:], tokens[i][:])
	}
	return found == 1 && strings.EqualFold(scheme, "Bearer")
}

// counted says whether the rate limit is about a path. Who looks after a node
// that has too much to do is let in.
func counted(path string) bool {
	for _, free := range []string{"/v1/cluster", "/v1/groups/", "/v1/shards", livePath} {
		if path == free || strings.HasPrefix(path, strings.TrimSuffix(free, "/")+"/") {
			return false
		}
	}
	return true
}
