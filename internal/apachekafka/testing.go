package apachekafka

import (
	"context"
	"os"
	"testing"
)

// Require skips a test where Apache Kafka can't be run, and says why in one
// line. With CI=true in the environment that is a failure.
func Require(t testing.TB) {
	t.Helper()
	_, err := java()
	if err == nil {
		_, err = Library(context.Background())
	}
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("Apache Kafka %s must run here, but: %v", Version, err)
	default:
		t.Skipf("skipped: Apache Kafka %s can't be run: %v", Version, err)
	}
}

// Run starts a cluster for a test, which ends with it. The brokers' output is
// shown if the test fails.
func Run(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	Require(t)
	c, err := Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
