package httpapi_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/httpapi"
	"anabranch.dev/operators"
	"anabranch.dev/operators/event"
	"anabranch.dev/state"
)

func running() *fake {
	return &fake{status: connectors.Status{Node: "n1", Cluster: "dev", Ready: true,
		Groups: []connectors.GroupStatus{{Group: 0, Role: "leader", Applied: 30, LogTime: 1_700_000_000_000_000}, {Group: 1, Applied: 20}},
		Inputs: []connectors.InputStatus{{Name: "retail.sales", Partition: 2, Bad: 1}}}}
}

func TestStatus(t *testing.T) {
	h := newHandler(t, running(), nil)
	tests := []struct {
		path, want, index string
		status            int
	}{
		{"/v1/cluster", `"log_time":"2023-11-14T22:13:20Z"`, "20", 200},
		{"/v1/cluster", `"dead_letters":1`, "20", 200},
		{"/v1/groups/1", `"applied":20`, "20", 200},
		{"/v1/groups/7", "not_found", "", 404},
		{"/v1/groups/x", "bad_parameter", "", 422},
		{"/healthz", "alive", "0", 200},
		{"/readyz", "ready", "20", 200},
	}
	for _, tt := range tests {
		w := call(t, h, "GET", tt.path, "")
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) || w.Header().Get("Anabranch-Index") != tt.index {
			t.Errorf("GET %s = %d, index %q: %s; want %d with %s", tt.path, w.Code, w.Header().Get("Anabranch-Index"), w.Body, tt.status, tt.want)
		}
	}
}

func TestNotReady(t *testing.T) {
	f := running()
	f.status.Ready, f.status.NotReady = false, "group 0 has no leader"
	w := call(t, newHandler(t, f, nil), "GET", "/readyz", "")
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "group 0 has no leader") {
		t.Errorf("answer = %d: %s", w.Code, w.Body)
	}
}

func TestShards(t *testing.T) {
	f := running()
	f.shards = []connectors.ShardStatus{{Shard: 0, Index: 31, Digest: "aa"}, {Shard: 1, Index: 29, Digest: "bb"}}
	w := call(t, newHandler(t, f, nil), "GET", "/v1/shards", "")
	if w.Header().Get("Anabranch-Index") != "29" || !strings.Contains(w.Body.String(), `"digest":"bb"`) {
		t.Errorf("answer, index %s: %s", w.Header().Get("Anabranch-Index"), w.Body)
	}
}

func TestSkip(t *testing.T) {
	f := running()
	h := newHandler(t, f, nil)
	w := call(t, h, "POST", "/v1/cluster/skip", `{"group":1,"index":44,"message":3}`)
	if w.Code != 200 || !slices.Equal(f.skipped, []uint64{1, 44, 3}) {
		t.Errorf("answer = %d: %s; skipped %v", w.Code, w.Body, f.skipped)
	}
	w = call(t, h, "POST", "/v1/cluster/skip", `{"group":1,"index":0,"message":3}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 422, "bad_parameter")
	f.err = errors.New("group 1 is not halted")
	w = call(t, h, "POST", "/v1/cluster/skip", `{"group":1,"index":44,"message":3}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 500, "internal")
}

func TestDeadLetters(t *testing.T) {
	f := running()
	f.letters = []operators.DeadLetter{
		{ID: "x-1", Code: "channel_unknown", Type: "order.placed", External: true, Hash: []byte{0xab}, Fields: []operators.Field{{Name: "order", Value: "W-1"}}},
		{ID: "x-2", Code: "late", Type: "stock.counted", Payload: state.Nested{Value: &event.StockCounted{SKU: "glasses-7"}}},
	}
	h := newHandler(t, f, nil)
	tests := []struct{ path, want, without string }{
		{"/v1/dead-letters", `"id":"x-2"`, ""},
		{"/v1/dead-letters?code=late", `"sku":"glasses-7"`, "x-1"},
		{"/v1/dead-letters?limit=1", `"hash":"ab"`, "x-2"},
		{"/v1/dead-letters?code=none", `{"dead_letters":[]}`, "x-1"},
		{"/v1/dead-letters/x-1", `"fields":[{"name":"order","value":"W-1"}]`, `"port"`},
	}
	for _, tt := range tests {
		w := call(t, h, "GET", tt.path, "")
		if w.Code != 200 || w.Header().Get("Anabranch-Index") != "20" || !strings.Contains(w.Body.String(), tt.want) ||
			tt.without != "" && strings.Contains(w.Body.String(), tt.without) {
			t.Errorf("GET %s = %d: %s; want %s without %q", tt.path, w.Code, w.Body, tt.want, tt.without)
		}
	}
	w := call(t, h, "GET", "/v1/dead-letters/x-9", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 404, "not_found")
	w = call(t, h, "GET", "/v1/dead-letters?limit=5000", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 422, "bad_parameter")
	w = call(t, h, "POST", "/v1/dead-letters/x-1/redrive", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"outcome":"applied"`) || w.Header().Get("Anabranch-Index") != "12" {
		t.Errorf("redrive = %d: %s", w.Code, w.Body)
	}
}

func TestConsole(t *testing.T) {
	h := newHandler(t, running(), nil)
	for path, want := range map[string]string{"/": "<h1>Anabranch</h1>", "/console.js": "v1/live", "/console.css": "color-scheme"} {
		if w := call(t, h, "GET", path, ""); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("GET %s = %d; want it to hold %q", path, w.Code, want)
		}
	}
}

func TestMetrics(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("anabranch_up 1\n")) })
	h := newHandler(t, running(), func(c *httpapi.Config) { c.Metrics = metrics })
	if w := call(t, h, "GET", "/metrics", ""); w.Body.String() != "anabranch_up 1\n" {
		t.Errorf("metrics = %d: %s", w.Code, w.Body)
	}
	w := call(t, newHandler(t, running(), nil), "GET", "/metrics", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 404, "unknown_path")
}

func TestConfig(t *testing.T) {
	_, err := httpapi.New(httpapi.Config{MaxBodyBytes: -1, Timeout: -1, RequestRate: -1})
	for _, want := range []string{"Cluster", "Plan", "Decoder", "Encoder", "MaxBodyBytes", "Timeout", "RequestRate"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New of an empty Config = %v; want it to name %s", err, want)
		}
	}
}
