package httpapi_test

import (
	"strings"
	"testing"

	"anabranch.dev/connectors"
)

func TestSnapshots(t *testing.T) {
	f := three()
	h := newHandler(t, f, nil)
	for _, tt := range []struct {
		method, path, want string
	}{
		{"POST", "/v1/cluster/snapshots", `"index":29`},
		{"POST", "/v1/cluster/snapshots", `"files":[]`},
		{"GET", "/v1/cluster/snapshots/s1", `"name":"000012.sst","size":13`},
		{"GET", "/v1/cluster/snapshots/s1/file?group=0&name=000012.sst&offset=9", "rows"},
		{"POST", "/v1/cluster/snapshots/s1/drop", `"dropped":true`},
	} {
		w := call(t, h, tt.method, tt.path, "")
		if w.Code != 200 || !strings.Contains(w.Body.String(), tt.want) || w.Header().Get("Anabranch-Index") == "" {
			t.Errorf("%s %s = %d: %s; want %s", tt.method, tt.path, w.Code, w.Body, tt.want)
		}
	}
	for path, want := range map[string]int{
		"/v1/cluster/snapshots/s2":                                     404,
		"/v1/cluster/snapshots/s1/file?group=0&name=..":                404,
		"/v1/cluster/snapshots/s1/file?group=0":                        422,
		"/v1/cluster/snapshots/s1/file?group=x&name=000012.sst":        422,
		"/v1/cluster/snapshots/s1/file?name=000012.sst&offset=-1":      422,
		"/v1/cluster/snapshots/s1/file?name=000012.sst&offset=1000000": 404,
	} {
		if w := call(t, h, "GET", path, ""); w.Code != want {
			t.Errorf("GET %s = %d: %s; want %d", path, w.Code, w.Body, want)
		}
	}
	f.err = connectors.ErrOverloaded
	w := call(t, h, "POST", "/v1/cluster/snapshots", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 429, "overloaded")
}
