package retail_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anabranch.dev/topology/retail"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestPlanPicture(t *testing.T) {
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	got := plan.Mermaid()
	golden := filepath.Join("testdata", "plan.mmd")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the plan's picture has changed; go test ./topology/retail -update rewrites it\ngot:\n%s", got)
	}
}

func TestPlanTopics(t *testing.T) {
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	names := retail.DefaultTopics()
	for _, topic := range plan.Topics {
		if got, want := names[topic.Alias], "retail."+topic.Alias; got != want {
			t.Errorf("DefaultTopics()[%q] = %q; want %q", topic.Alias, got, want)
		}
		if got, want := topic.First, topic.Alias == retail.TopicReference; got != want {
			t.Errorf("topic %s: First = %v; want %v", topic.Alias, got, want)
		}
		if got, want := topic.Compacted, topic.Alias == retail.TopicStockLevels; got != want {
			t.Errorf("topic %s: Compacted = %v; want %v", topic.Alias, got, want)
		}
	}
	if names[retail.TopicDeadLetters] == "" {
		t.Error("dead letters have no topic")
	}
}

// Every stage behind an input must know from which topics its event clock comes.
func TestPlanClocks(t *testing.T) {
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for stage, want := range map[string]string{
		retail.StageReference:  "reference",
		retail.StageAllocation: "interactions sales stock",
		retail.StageInventory:  "interactions sales stock",
		retail.StageReceipt:    "sales",
	} {
		if got := strings.Join(plan.Stage(stage).Topics, " "); got != want {
			t.Errorf("stage %s consumes %q; want %q", stage, got, want)
		}
	}
}
