package app_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"anabranch.dev/connectors/kafka"
	"anabranch.dev/docs/example"
	"anabranch.dev/engine/app"
)

func config(t *testing.T) app.Config {
	t.Helper()
	plan, err := example.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return app.Config{Plan: plan, Dir: filepath.Join(t.TempDir(), "data"), Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}}
}

// A node that is opened and not run, or run and stopped, lets its directory go;
// Kafka may be away meanwhile.
func TestDirectory(t *testing.T) {
	cfg := config(t)
	n, err := app.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Open(cfg); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second Open = %v; want it in use", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err = app.Open(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := n.Run(ctx); err != nil {
		t.Errorf("Run = %v; want nil after an orderly stop", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "pseudonym.key")); err != nil {
		t.Error(err)
	}
	if n, err = app.Open(cfg); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// What can't be opened says why and holds nothing.
func TestRefused(t *testing.T) {
	for name, change := range map[string]func(c *app.Config){
		"no topology":         func(c *app.Config) { c.Plan = nil },
		"durability is":       func(c *app.Config) { c.Durability = "paper" },
		"is not in the topol": func(c *app.Config) { c.Topics = map[string]string{"letters": "x"} },
	} {
		cfg := config(t)
		bad := cfg
		change(&bad)
		if _, err := app.Open(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Open = %v; want %q", err, name)
		}
		n, err := app.Open(cfg)
		if err != nil {
			t.Errorf("after %q: %v", name, err)
			continue
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}
