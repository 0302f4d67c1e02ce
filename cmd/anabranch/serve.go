package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"anabranch.dev/connectors/httpapi"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/engine/core"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/internal/config"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one node of a cluster",
		Long: `serve runs the node that a configuration file describes. A new cluster of several
nodes waits until it is formed, once, with 'anabranch cluster init'; a cluster of one
forms itself. Missing input topics are waited for, missing output topics are made.

Every setting of the file can be set in the environment: log.level as
ANABRANCH_LOG_LEVEL, lists separated by commas. The environment wins. What the process
says goes to standard error.

SIGTERM or Ctrl-C ends it in order: requests in flight are answered and leadership is
handed over. A second signal ends it at once.`,
		Example: `  anabranch serve --config anabranch.yaml
  anabranch serve --config anabranch.yaml --print-config`,
		Args: cobra.NoArgs,
	}
	var file string
	var printOnly bool
	cmd.Flags().StringVar(&file, "config", "", "configuration file, YAML (required)")
	cmd.Flags().BoolVar(&printOnly, "print-config", false, "check the configuration, print what is in force and where each value came from, and end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			return usagef("--config is missing: name a configuration file")
		}
		cfg, err := config.Load(file, config.Options{Topics: assembly.TopicNames()})
		if err != nil {
			return err
		}
		if printOnly {
			return cfg.Print(cmd.OutOrStdout())
		}
		return runServe(cmd.Context(), cfg, cmd.ErrOrStderr())
	}
	return cmd
}

// server is one node of a cluster that runs in this process.
type server struct {
	closers
	cfg      *config.Config
	log      *slog.Logger
	dir      *assembly.DataDir
	listener net.Listener
	tokens   []string
	admin    *kafka.Admin
	node     *assembly.Node
}

func runServe(ctx context.Context, cfg *config.Config, errs io.Writer) (err error) {
	assembly.Tune(2*cfg.Limits.HotMemory + memoryBesideRows)
	s := &server{cfg: cfg, log: newServeLog(errs, cfg.Log)}
	defer func() { err = oneLineOf(oneFault(cfg.Node.Data, errors.Join(err, s.close()))) }()
	if err := s.open(); err != nil {
		return err
	}
	s.log.Info("serving", "cluster", cfg.Cluster.Name, "node", cfg.Node.ID, "nodes", max(len(cfg.Cluster.Join), 1),
		"durability", cfg.Cluster.Durability, "clock", cfg.Cluster.Clock, "http", s.listener.Addr().String(), "peer", s.node.PeerAddr(),
		"data", cfg.Node.Data, "version", version, "feature_level", core.Level)
	return s.run(ctx)
}

// memoryBesideRows is what a node needs beside its decoded rows, which the Go
// runtime counts with what is garbage among them.
const memoryBesideRows = 512 << 20

// open takes everything that can be refused before anything runs.
func (s *server) open() error {
	if err := s.openDirectory(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	var err error
	if s.admin, err = kafka.NewAdmin(kafkaConfig(s.cfg)); err != nil {
		return err
	}
	s.onClose(func() error { s.admin.Close(); return nil })
	s.node, err = assembly.Open(s.nodeConfig())
	return err
}

// openDirectory takes the data directory, or makes it.
func (s *server) openDirectory() (err error) {
	dir := assembly.DataDirConfig{Path: s.cfg.Node.Data, KeyFile: s.cfg.Privacy.KeyFile, PathSetting: "node.data", NodesSetting: "'anabranch dev' --nodes"}
	if s.dir, err = dir.Open(); err != nil {
		return err
	}
	s.onClose(s.dir.Close)
	return nil
}

// run runs the node, its API and the look after its topics.
func (s *server) run(ctx context.Context) error {
	return inOrder(ctx, s.node.Run, []activity{s.serveAPI, s.makeTopics, s.sayReady}, func() { s.log.Info("stopping") })
}

func (s *server) serveAPI(ctx context.Context) error {
	handler, err := httpapi.New(httpapi.Config{Cluster: s.node, Plan: s.node.Plan, Decoder: s.node.Decoder, Encoder: s.node.Encoder,
		Metrics: s.node.Metrics.Handler(), Version: version,
		MaxBodyBytes: s.cfg.Limits.Record, RequestRate: s.cfg.Limits.RequestRate, Tokens: s.tokens})
	if err != nil {
		return err
	}
	return httpapi.Serve(ctx, s.listener, s.node.Metrics.Requests(handler), s.log)
}

// sayReady logs when the node can decide. What it waits for it says itself.
func (s *server) sayReady(ctx context.Context) error {
	began := time.Now()
	if err := s.node.Ready(ctx); err == nil {
		s.log.Info("ready", "after", time.Since(began).Round(time.Millisecond).String())
	}
	<-ctx.Done()
	return nil
}

// makeTopics makes the output topics that are missing, as soon as Kafka can be
// reached.
func (s *server) makeTopics(ctx context.Context) error {
	return makeTopics(ctx, s.admin, assembly.OutputTopics(s.node.Plan, s.node.Topics), s.log)
}

// oneLineOf says an error in one line.
func oneLineOf(err error) error {
	if err == nil || !strings.Contains(err.Error(), "\n") {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// newServeLog is the process's log.
func newServeLog(w io.Writer, cfg config.Log) *slog.Logger {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	options := &slog.HandlerOptions{Level: levels[cfg.Level]}
	if cfg.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// advertised is where an API that listens on all addresses can be reached: on
// the host by which the other nodes reach this one.
func advertised(listening, peer string) string {
	host, port, err := net.SplitHostPort(listening)
	if err != nil {
		return listening
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		peerHost, _, _ := net.SplitHostPort(peer) // it was checked
		host = cmp.Or(peerHost, host)
	}
	return net.JoinHostPort(host, port)
}
