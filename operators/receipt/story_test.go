package receipt_test

import (
	"testing"

	"github.com/cockroachdb/datadriven"

	"anabranch.dev/operators/operatortest"
	"anabranch.dev/topology/retail"
)

func TestStories(t *testing.T) {
	plan, err := retail.Plan()
	if err != nil {
		t.Fatal(err)
	}
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		operatortest.Run(t, path, &operatortest.Suite{Plan: plan, Print: map[string][]string{"stock.level": {}}})
	})
}
