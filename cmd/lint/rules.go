package main

import "strings"

// module is the import path that rules leave out.
const module = "anabranch.dev/"

// homes says which packages may import a third-party library. A package path
// that ends in "/..." means its children too.
var homes = map[string][]string{
	"github.com/hashicorp/raft":               {"engine/raftlog", "engine/group"},
	"github.com/hashicorp/raft-wal":           {"engine/raftlog"},
	"go.etcd.io/bbolt":                        {"engine/raftlog"},
	"github.com/cockroachdb/pebble/v2":        {"state/pebblestate"},
	"github.com/twmb/franz-go":                {"connectors/kafka/...", "internal/apachekafka"},
	"github.com/vmihailenco/msgpack/v5":       {"state/codec", "connectors/wire"},
	"github.com/prometheus/client_golang":     {"internal/metrics"},
	"cel.dev/cel-go":                          {"operators/rule"},
	"github.com/prometheus/prometheus":        {"docs"},
	"github.com/danielgtaylor/huma/v2":        {"connectors/contract", "connectors/httpapi"},
	"github.com/spf13/cobra":                  {"cmd/anabranch/..."},
	"github.com/jedib0t/go-pretty/v6":         {"cmd/anabranch/..."},
	"github.com/schollz/progressbar/v3":       {"cmd/anabranch/..."},
	"github.com/nyaruka/phonenumbers":         {"connectors/wire"},
	"github.com/HdrHistogram/hdrhistogram-go": {"bench/..."},
	"github.com/anishathalye/porcupine":       {"internal/linear"},
}

// layers says what the packages of a folder may import of this module, besides
// their own children, internal/planted and internal/faultdisk. The first match counts.
var layers = []struct {
	pkg  string
	from []string
}{
	{"state", nil},
	{"state/...", []string{"state", "state/codec"}},
	{"operators/event", []string{"state"}},
	{"operators/operatortest", []string{"state/...", "operators/...", "topology", "engine/core"}},
	{"operators", []string{"state"}},
	{"operators/...", []string{"state", "operators/..."}},
	{"topology", []string{"state", "operators"}},
	{"topology/retail/simload", []string{"state", "operators/...", "topology/...", "engine/core", "engine/sim", "connectors", "connectors/wire"}},
	{"topology/retail/...", []string{"state", "operators/...", "topology/...", "engine/core", "engine/sim"}},
	{"engine/core", []string{"state", "operators", "topology"}},
	{"engine/leader", []string{"state", "operators", "topology", "engine/core", "connectors"}},
	{"engine/raftlog", []string{"state", "internal/metrics"}},
	{"engine/group", []string{"state", "state/codec", "state/pebblestate", "operators", "topology", "engine/core", "engine/leader", "engine/raftlog", "engine/peer", "connectors", "internal/metrics"}},
	{"engine/peer", nil},
	{"engine/node", []string{"state", "state/codec", "state/pebblestate", "operators", "topology", "engine/core", "engine/leader", "engine/raftlog", "engine/group", "engine/peer", "connectors", "internal/metrics"}},
	{"engine/verify", []string{"state", "state/pebblestate", "topology", "engine/core", "engine/raftlog", "engine/node"}},
	{"engine/backup", []string{"state", "connectors", "engine/raftlog"}},
	{"engine/sim", []string{"state", "state/codec", "state/memstate", "operators", "topology", "engine/core", "engine/leader", "connectors"}},
	{"connectors", []string{"state", "operators"}},
	{"connectors/kafka/...", []string{"state", "operators", "connectors/..."}},
	{"connectors/wire", []string{"state", "operators/...", "connectors"}},
	{"connectors/contract", []string{"operators/...", "connectors/wire", "engine/core", "state", "topology"}},
	{"connectors/httpapi", []string{"state", "operators/...", "connectors", "connectors/contract", "connectors/wire", "engine/core", "topology"}},
	{"internal/assembly", []string{"..."}},
	{"internal/fit/...", []string{"state", "operators/..."}},
	{"internal/...", nil},
	{"engine/app", []string{"connectors/...", "engine/node", "internal/assembly", "topology"}},
	{"engine/app/apptest", []string{"engine/app", "connectors/..."}},
	{"bench/...", []string{"..."}},
	{"docs/...", []string{"..."}},
	{"cmd/...", []string{"..."}},
}

// deterministic packages never see a clock, goroutine, random source, socket,
// file, logger or unordered map range.
var deterministic = []string{"state", "operators/...", "topology", "engine/core"}

// exempt from the determinism rules: a test harness.
var exempt = []string{"operators/operatortest"}

// forbidden imports of deterministic packages.
var forbidden = []string{"math/rand", "math/rand/v2", "crypto/rand", "os", "net", "net/http", "log", "log/slog", "sync", "runtime",
	"path/filepath", "unsafe"}

// matches says whether a package path fits one of the patterns.
func matches(pkg string, patterns []string) bool {
	for _, p := range patterns {
		if p == "..." || p == pkg {
			return true
		}
		if root, ok := strings.CutSuffix(p, "/..."); ok && (pkg == root || strings.HasPrefix(pkg, root+"/")) {
			return true
		}
	}
	return false
}
