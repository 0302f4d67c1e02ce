package assembly_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/connectors/wire"
	"anabranch.dev/internal/assembly"
)

// Three nodes form a cluster by themselves, one leads, and they stop in order;
// opened again they are the same cluster.
func TestClusterOfThree(t *testing.T) {
	plan, err := assembly.Plan()
	if err != nil {
		t.Fatal(err)
	}
	broker, err := embedded.Start(embedded.Config{Topics: assembly.BrokerTopics(plan)})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	dir := t.TempDir()
	key, err := wire.CreateKey(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	var applied uint64
	for range 2 {
		c, err := assembly.OpenCluster(3, func(i int, cfg *assembly.Config) {
			cfg.Dir, cfg.Key, cfg.Kafka.Brokers, cfg.Shards = filepath.Join(dir, fmt.Sprint(i)), key, []string{broker.Addr()}, 16
			cfg.Log = slog.New(slog.DiscardHandler)
		})
		if err != nil {
			t.Fatal(err)
		}
		applied = runCluster(t, c, applied)
	}
}

// runCluster runs it until it is ready, and returns how far it came.
func runCluster(t *testing.T, c *assembly.Cluster, least uint64) uint64 {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	soon, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := c.Ready(soon); err != nil {
		t.Fatal(err)
	}
	leader := c.Leader(0)
	if leader == nil {
		t.Fatal("nobody leads a cluster that is ready")
	}
	if other := c.Leader(1); other != nil {
		t.Errorf("%s leads group 1, which does not exist", other.ID)
	}
	s, err := leader.Status(ctx)
	if err != nil || s.Groups[0].Voters != 3 || s.Groups[0].Applied < least {
		t.Errorf("status of the leader %s = %+v, %v; want 3 voters, applied at least %d", leader.ID, s, err, least)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v; want nil after an orderly stop", err)
	}
	return s.Groups[0].Applied
}

// A cluster of which one node can't be opened gives everything back.
func TestClusterThatCannotOpen(t *testing.T) {
	dir := t.TempDir()
	key, err := wire.CreateKey(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	open := func(durability string) (*assembly.Cluster, error) {
		return assembly.OpenCluster(3, func(i int, cfg *assembly.Config) {
			cfg.Dir, cfg.Key, cfg.Kafka.Brokers = filepath.Join(dir, fmt.Sprint(i)), key, []string{"127.0.0.1:1"}
			if i == 1 {
				cfg.Durability = durability
			}
		})
	}
	if _, err := open("paper"); err == nil {
		t.Fatal("OpenCluster took the durability paper")
	}
	c, err := open("disk") // whose first node's directory is free again
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}
