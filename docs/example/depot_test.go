package example_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch.dev/docs/example"
	"anabranch.dev/engine/app"
	"anabranch.dev/engine/app/apptest"
	"anabranch.dev/operators/operatortest"
)

// The story runs on the core alone.
func TestStory(t *testing.T) {
	plan, err := example.Plan()
	if err != nil {
		t.Fatal(err)
	}
	operatortest.Run(t, "testdata/stuck", &operatortest.Suite{Plan: plan})
}

// The same through Kafka, on a real node: both have been there for three hours.
func TestNode(t *testing.T) {
	plan, err := example.Plan()
	if err != nil {
		t.Fatal(err)
	}
	s := apptest.Start(t, app.Config{Plan: plan, Codes: []string{"parcel", "depot"}})
	const scan = `{"id":"%s","source":"gate","type":"parcel.arrived","time":"%s","parcel":"%[1]s","depot":"north"}`
	for _, parcel := range []string{"P1", "P2"} {
		s.Send("scans", fmt.Sprintf(scan, parcel, apptest.Ago(3*time.Hour)))
		if got := s.Next("alerts"); !strings.Contains(got, `"key":"north"`) || !strings.Contains(got, `"parcel":"`+parcel+`"`) {
			t.Errorf("alert = %s; want %s stuck in north", got, parcel)
		}
	}
}
