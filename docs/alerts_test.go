package docs_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v4"
)

// alertRules is the part of a Prometheus rule file that ours use.
type alertRules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr         string
			For                 string
			Labels, Annotations map[string]string
		}
	}
}

// dashboard is the part of a Grafana dashboard (schema 39) that ours uses.
type dashboard struct {
	UID           string `json:"uid"`
	Title         string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type string }
	}
	Panels []struct {
		ID          int `json:"id"`
		Type, Title string
		Description string
		Datasource  struct{ Type, UID string }
		GridPos     struct{ H, W, X, Y int }
		Targets     []struct{ RefID, Expr, LegendFormat string }
	}
}

func readAlerts(t *testing.T) (rules alertRules) {
	t.Helper()
	text, err := os.ReadFile("alerts/anabranch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	return rules
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("grafana/anabranch.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// query parses PromQL and returns the metrics in it.
func query(t *testing.T, where, text string) (names []string) {
	t.Helper()
	text = strings.NewReplacer("$__rate_interval", "5m", "$job", "shop").Replace(text)
	expr, err := parser.ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, text)
		return nil
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			names = append(names, v.Name)
		}
		return nil
	})
	if len(names) == 0 {
		t.Errorf("%s: asks for no metric: %s", where, text)
	}
	return names
}

// Every alert parses, says how bad it is and what it is about, and has its
// paragraph in operating.md; and every such paragraph has its alert.
func TestAlertsHaveParagraphs(t *testing.T) {
	text, err := os.ReadFile("operating.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{} // alert → its paragraph
	for _, p := range strings.Split(string(text), "\n#### ")[1:] {
		name, rest, _ := strings.Cut(p, "\n")
		said[name], _, _ = strings.Cut(rest, "\n#")
	}
	for _, group := range readAlerts(t).Groups {
		for _, r := range group.Rules {
			query(t, r.Alert, r.Expr)
			if r.For != "" {
				if _, err := time.ParseDuration(r.For); err != nil {
					t.Errorf("%s: %v", r.Alert, err)
				}
			}
			if s := r.Labels["severity"]; s != "page" && s != "ticket" {
				t.Errorf("%s: severity is %q", r.Alert, s)
			}
			if r.Annotations["summary"] == "" {
				t.Errorf("%s has no summary", r.Alert)
			}
			for _, part := range []string{"**Means.**", "**Look at.**", "**Do.**"} {
				if !strings.Contains(said[r.Alert], part) {
					t.Errorf("operating.md: the paragraph of %s has no %s", r.Alert, part)
				}
			}
			delete(said, r.Alert)
		}
	}
	if len(said) > 0 {
		t.Errorf("operating.md has paragraphs for alerts that are not there: %v", slices.Sorted(maps.Keys(said)))
	}
}

// The dashboard is one that Grafana can show: panels with ids and places of
// their own, data from its variable.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 || len(d.Templating.List) == 0 || d.Templating.List[0].Type != "datasource" {
		t.Errorf("dashboard %q %q of schema %d with variables %v", d.UID, d.Title, d.SchemaVersion, d.Templating.List)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	var rows []string
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q: id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q lies over %q at %d,%d", p.Title, other, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Datasource.UID != "${datasource}" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q: data from %q, description %q, %d targets", p.Title, p.Datasource.UID, p.Description, len(p.Targets))
		}
		for _, target := range p.Targets {
			query(t, p.Title, target.Expr)
		}
	}
	if want := []string{"Decisions", "Replication", "Kafka in and out", "State", "API"}; !slices.Equal(rows, want) {
		t.Errorf("rows = %q; want %q", rows, want)
	}
}
