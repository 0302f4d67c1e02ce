package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"anabranch.dev/connectors/kafka"
)

// startBroker starts an embedded broker in a process of its own and waits until
// it answers.
func startBroker(ctx context.Context, binary, dir string) (address string, stop func() error, err error) {
	if binary, err = program(binary); err != nil {
		return "", nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return "", nil, err
	}
	_, port, err := net.SplitHostPort(ports[0])
	if err != nil {
		return "", nil, err
	}
	c, err := startChild(binary, dir, "kafka", "kafka", "--data", filepath.Join(dir, "kafka"), "--port", port)
	if err != nil {
		return "", nil, err
	}
	if err := awaitBroker(ctx, c, ports[0]); err != nil {
		return "", nil, errors.Join(err, c.kill())
	}
	return ports[0], c.stop, nil
}

func awaitBroker(ctx context.Context, c *child, address string) error {
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: []string{address}})
	if err != nil {
		return err
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := admin.Ping(ctx)
		if err == nil {
			return nil
		}
		if err := c.ended(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("broker %s does not answer: %w", address, err)
		case <-again.C:
		}
	}
}

// kills runs a cluster of processes and kills its leader again and again.
func (r *failoverRun) kills(ctx context.Context) (err error) {
	report := r.report
	s, err := newServers(&r.cfg.KafkaConfig, 1, r.cfg.Binary, r.dir, r.topics)
	if err != nil {
		return err
	}
	children := childSeconds()
	defer func() {
		err = errors.Join(err, s.close())
		report.CPUSeconds = round(report.CPUSeconds + childSeconds() - children) // of those that have ended: all
	}()
	if err := s.form(ctx); err != nil {
		return err
	}
	if err := prepareTopics(ctx, r.topics, r.producer, &r.stream.shop, s.inputs); err != nil {
		return err
	}
	times := &FailoverTimes{How: "kill -9"}
	before, err := s.term(ctx)
	if err != nil {
		return err
	}
	err = r.around(ctx, times, func(ctx context.Context) error {
		var caughtUp []time.Duration
		gaps, err := r.each(ctx, []*gapMeter{r.visible}, func(ctx context.Context) error {
			took, err := r.killLeader(ctx, s)
			caughtUp = append(caughtUp, took)
			return err
		})
		if err != nil {
			return err
		}
		times.Visible = summarise(gaps[0])
		all := summarise(caughtUp)
		times.CaughtUp = &all
		return nil
	})
	if err != nil {
		return err
	}
	after, err := s.term(ctx)
	if err != nil {
		return err
	}
	times.Elections = int64(after - before)
	report.LeaderChanges = times.Elections - int64(r.cfg.Times)
	report.RSSMiB = s.rss()
	report.Checks.Oversold, err = s.oversold(ctx, r.cfg.Workload.SKUs)
	return err
}

// killLeader kills the leader, restarts it when another one decides, and waits
// until it has caught up. It returns how long that took from the restart on.
func (r *failoverRun) killLeader(ctx context.Context, s *servers) (time.Duration, error) {
	victim, err := s.leader(ctx)
	if err != nil {
		return 0, err
	}
	before := r.visible.count()
	if err := victim.child.kill(); err != nil {
		return 0, err
	}
	// What was committed to Kafka before the kill may still be on its way.
	if err := r.steady(ctx, 100*time.Millisecond); err != nil {
		return 0, err
	}
	if _, err := s.leader(ctx); err != nil {
		return 0, err
	}
	if err := r.cfg.whileMoving(ctx, before+int(r.cfg.Rate/2), r.visible.count); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := s.start(victim); err != nil {
		return 0, err
	}
	if err := s.caughtUp(ctx, victim); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
