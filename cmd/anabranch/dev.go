package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"anabranch.dev/connectors/httpapi"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/engine/node"
	"anabranch.dev/internal/assembly"
)

// What the Go runtime tries to stay below: the sample shop's system stays small,
// one that is given real work may take more before collecting gets in its way.
const (
	sampleMemory = 220 << 20
	workMemory   = 1 << 30
)

// limitMemory gives dev its share.
func limitMemory(f *devFlags) {
	limit := int64(sampleMemory)
	if f.noSample || f.clock == node.ClockReplay {
		limit = workMemory
	}
	assembly.LimitMemory(limit)
}

// started is when this process began, as near as we can tell.
var started = time.Now()

type devFlags struct {
	clock, data, kafka, durability, http string
	delivery, onGap                      string
	noSample, quiet                      bool
}

func newDev() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole system in one process, with a sample shop",
		Long: `dev runs an embedded Kafka broker (or uses a real one), one node with the retail
topology on the real path (replicated log, state on disk, transactions to
Kafka), the HTTP API with a console page, and a small sample shop. Decisions are
printed as they come back from the topic, read committed.

Ctrl-C ends everything in order. Without --data all is in a temporary folder and
gone afterwards; with it, a second start goes on where the first was.`,
		Example: `  anabranch dev
  anabranch dev --data ./anabranch-data --durability memory
  anabranch dev --kafka localhost:9092 --no-sample`,
		Args: cobra.NoArgs,
	}
	var f devFlags
	cmd.Flags().StringVar(&f.clock, "clock", node.ClockWall, "wall, or replay: log time follows the events; fixed when the data directory is made")
	cmd.Flags().StringVar(&f.data, "data", "", "directory to keep everything in")
	cmd.Flags().StringVar(&f.kafka, "kafka", "", "HOST:PORT of a Kafka to use in place of the embedded broker")
	cmd.Flags().StringVar(&f.durability, "durability", node.DurabilityDisk, "disk: every append is on disk before it counts; memory: within 10 ms")
	cmd.Flags().StringVar(&f.delivery, "delivery", node.ExactlyOnce, "exactly_once: in transactions; at_least_once: without, consumers drop repeated ids")
	cmd.Flags().StringVar(&f.onGap, "on-gap", node.GapStop, "when records of an input are gone before they were read: stop that input, or skip and record the gap")
	cmd.Flags().StringVar(&f.http, "http", "127.0.0.1:8470", "address of the HTTP API; the next free port if it is taken")
	cmd.Flags().BoolVar(&f.noSample, "no-sample", false, "without the sample shop")
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "print no decisions after the first")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, c := range []struct{ name, value, one, other string }{
			{"clock", f.clock, node.ClockWall, node.ClockReplay},
			{"durability", f.durability, node.DurabilityDisk, node.DurabilityMemory},
			{"delivery", f.delivery, node.ExactlyOnce, node.AtLeastOnce},
			{"on-gap", f.onGap, node.GapStop, node.GapSkip},
		} {
			if c.value != c.one && c.value != c.other {
				return usagef("--%s %q is neither %s nor %s", c.name, c.value, c.one, c.other)
			}
		}
		return runDev(cmd.Context(), &f, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// dev is a system that runs in this process. Close undoes what was opened, in
// reverse order.
type dev struct {
	flags     *devFlags
	out       io.Writer
	log       *slog.Logger
	dir       *assembly.DataDir
	listener  net.Listener
	taken     string // HTTP address that was not free
	broker    *embedded.Broker
	brokers   []string
	node      *assembly.Node
	decisions *decisionReader
	closers   []func() error
}

func runDev(ctx context.Context, f *devFlags, out, errs io.Writer) (err error) {
	limitMemory(f)
	d := &dev{flags: f, out: out, log: slog.New(newLineLog(errs))}
	defer func() { err = d.oneFault(errors.Join(err, d.close())) }()
	if err := d.open(ctx); err != nil {
		return err
	}
	d.banner()
	return d.run(ctx)
}

// oneFault says a full disk in one line: every part complains about it in its
// own words.
func (d *dev) oneFault(err error) error {
	if err == nil || d.dir == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return err
	}
	return fmt.Errorf("data directory %s: %w; free some and start again, nothing that was decided is lost", d.dir.Path, syscall.ENOSPC)
}

func (d *dev) onClose(fn func() error) { d.closers = append(d.closers, fn) }

func (d *dev) close() error {
	var faults []error
	for _, fn := range slices.Backward(d.closers) {
		faults = append(faults, fn())
	}
	d.closers = nil
	return errors.Join(faults...)
}

// open takes everything that can be refused before anything runs.
func (d *dev) open(ctx context.Context) error {
	if err := d.openDir(); err != nil {
		return err
	}
	var err error
	if d.listener, d.taken, err = listenNear(d.flags.http); err != nil {
		return err
	}
	d.onClose(func() error {
		if err := d.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	if err := d.openKafka(ctx); err != nil {
		return err
	}
	if d.node, err = assembly.Open(assembly.Config{Dir: d.dir.Node(), Brokers: d.brokers, Key: d.dir.Key,
		Durability: d.flags.durability, Clock: d.flags.clock, Delivery: d.flags.delivery, OnGap: d.flags.onGap, Version: version, Log: d.log}); err != nil {
		return err
	}
	return nil
}

// openDir takes the data directory, or makes a temporary one.
func (d *dev) openDir() error {
	path := d.flags.data
	if path == "" {
		var err error
		if path, err = os.MkdirTemp("", "anabranch-dev-"); err != nil {
			return err
		}
		d.onClose(func() error { return os.RemoveAll(path) })
	}
	var err error
	if d.dir, err = assembly.OpenDataDir(path); err != nil {
		return err
	}
	d.onClose(d.dir.Close)
	return nil
}

// run runs all parts until ctx ends or one of them fails, then stops them in
// order: the shop and the API before the node, the node before the broker.
func (d *dev) run(ctx context.Context) error {
	outer, stopOuter := context.WithCancel(ctx) // shop, API, screen
	defer stopOuter()
	inner, stopInner := context.WithCancel(context.WithoutCancel(ctx)) // node
	defer stopInner()

	var nodeGroup errgroup.Group
	nodeGroup.Go(func() error {
		defer stopOuter() // a node that ends takes the rest along
		return d.node.Run(inner)
	})
	clients, clientCtx := errgroup.WithContext(outer)
	clients.Go(func() error { return d.serve(clientCtx) })
	if err := d.trade(clients, clientCtx); err != nil {
		stopOuter()
		stopInner()
		return errors.Join(err, clients.Wait(), nodeGroup.Wait())
	}
	if d.broker != nil {
		clients.Go(func() error { return d.watchBroker(clientCtx) })
	}
	err := clients.Wait()
	if ctx.Err() != nil {
		say(d.out, "\nstopping …\n")
	}
	stopInner()
	return errors.Join(err, nodeGroup.Wait())
}

func (d *dev) watchBroker(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.broker.Failed():
		return d.broker.Err()
	}
}

func (d *dev) serve(ctx context.Context) error {
	handler, err := httpapi.New(httpapi.Config{Cluster: d.node, Plan: d.node.Plan, Decoder: d.node.Decoder, Encoder: d.node.Encoder,
		Metrics: d.node.Metrics.Handler(), Version: version})
	if err != nil {
		return err
	}
	return httpapi.Serve(ctx, d.listener, handler, d.log)
}
