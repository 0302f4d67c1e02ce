package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/engine/peer"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/internal/config"
)

// nodeConfig is the configuration in the node's own terms.
func (s *server) nodeConfig() assembly.Config {
	c := s.cfg
	http := c.Node.HTTP
	if s.listener != nil {
		http = s.listener.Addr().String()
	}
	cfg := assembly.Config{
		ID: c.Node.ID, Cluster: c.Cluster.Name, Dir: s.dir.Node(0), Key: s.dir.Key, Version: version,
		Kafka: kafkaConfig(c), Topics: c.Topics, Delivery: c.Kafka.Delivery, OnGap: c.Kafka.OnGap,
		Peer: c.Node.Peer, Join: c.Cluster.Join, HTTP: advertised(http, c.Node.Peer),
		Shards: c.Cluster.Shards, Groups: c.Cluster.Groups, Lateness: c.Kafka.Lateness,
		Durability: c.Cluster.Durability, Clock: c.Cluster.Clock,
		HotMemory: c.Limits.HotMemory, SnapshotBytes: c.Limits.Log, MaxRecord: int(c.Limits.Record), Log: s.log,
	}
	if t := c.Peer.TLS; t != nil {
		cfg.PeerTLS = &peer.TLS{CAFile: t.CA, CertFile: t.Cert, KeyFile: t.Key}
	}
	return cfg
}

// kafkaConfig says how to reach Kafka.
func kafkaConfig(c *config.Config) kafka.Config {
	cfg := kafka.Config{Brokers: c.Kafka.Brokers, Group: c.Kafka.Group}
	if t := c.Kafka.TLS; t != nil {
		cfg.TLS = &kafka.TLS{CAFile: t.CA, CertFile: t.Cert, KeyFile: t.Key}
	}
	if a := c.Kafka.SASL; a != nil {
		cfg.SASL = &kafka.SASL{Mechanism: a.Mechanism, User: a.User, PasswordFile: a.PasswordFile}
	}
	return cfg
}

// listen takes the API's port, with TLS and tokens where they are wanted.
func (s *server) listen() error {
	var secured *tls.Config
	if t := s.cfg.HTTP.TLS; t != nil {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return fmt.Errorf("http.tls: %w", err)
		}
		secured = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	}
	var err error
	if s.tokens, err = readTokens(s.cfg.HTTP.TokensFile); err != nil {
		return err
	}
	if s.listener, err = net.Listen("tcp", s.cfg.Node.HTTP); err != nil {
		return fmt.Errorf("node.http %s: %w", s.cfg.Node.HTTP, err)
	}
	plain := s.listener
	s.onClose(func() error { return closeListener(plain) })
	if secured != nil {
		s.listener = tls.NewListener(plain, secured)
	}
	return nil
}

// closeListener closes what may be closed already.
func closeListener(l net.Listener) error {
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// minToken is the least that a token must have to be hard to guess.
const minToken = 16

// readTokens reads a file of tokens: one a line, # begins a comment.
func readTokens(path string) (tokens []string, err error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("http.auth.tokens_file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("http.auth.tokens_file: %s has mode %04o: others may read it; run chmod 600 %s", path, mode, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("http.auth.tokens_file: %w", err)
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		token := strings.TrimSpace(line)
		switch {
		case token == "" || strings.HasPrefix(token, "#"):
		case len(token) < minToken || strings.ContainsAny(token, " \t"):
			return nil, fmt.Errorf("http.auth.tokens_file: %s:%d: a token has %d or more characters and no space", path, number, minToken)
		default:
			tokens = append(tokens, token)
		}
	}
	if len(tokens) == 0 {
		return nil, fmt.Errorf("http.auth.tokens_file: %s holds no token", path)
	}
	return tokens, nil
}

const (
	topicsTimeout = 10 * time.Second
	topicsAgain   = time.Second
	topicsSay     = 30 * time.Second // how often waiting is said again
)

// makeTopics makes the topics that are missing. While Kafka is away it waits,
// and says so.
func makeTopics(ctx context.Context, admin *kafka.Admin, topics []kafka.Topic, log *slog.Logger) error {
	var said time.Time
	for {
		once, cancel := context.WithTimeout(ctx, topicsTimeout)
		made, err := admin.CreateMissing(once, topics)
		cancel()
		if len(made) > 0 {
			log.Info("output topics made", "topics", made, "partitions", assembly.Partitions)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			<-ctx.Done()
			return nil
		case errors.Is(err, connectors.ErrPermanent):
			return fmt.Errorf("kafka: %w", err)
		case time.Since(said) >= topicsSay:
			said = time.Now()
			log.Warn("output topics wait for kafka", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(topicsAgain):
		}
	}
}
