package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"anabranch.dev/connectors/httpapi"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/engine/node"
	"anabranch.dev/internal/assembly"
)

// What the Go runtime tries to stay below: the sample shop's system stays small,
// one that is given real work may take more before collecting gets in its way.
// Each further node takes its share.
const (
	sampleMemory = 220 << 20
	workMemory   = 1 << 30
	nodeMemory   = 100 << 20
)

// limitMemory gives dev its share.
func limitMemory(f *devFlags) {
	limit := int64(sampleMemory)
	if f.noSample || f.clock == node.ClockReplay {
		limit = workMemory
	}
	assembly.Tune(limit + int64(f.nodes-1)*nodeMemory)
}

// started is when this process began, as near as we can tell.
var started = time.Now()

type devFlags struct {
	clock, data, kafka, durability, http string
	delivery, onGap                      string
	noSample, quiet                      bool
	nodes, groups                        int
}

func newDev() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole system in one process, with a sample shop",
		Long: `dev runs an embedded Kafka broker (or uses a real one), one or more nodes with the
retail topology on the real path (replicated log, state on disk, transactions to
Kafka), the HTTP API with a console page, and a small sample shop. Decisions are
printed as they come back from the topic, read committed.

With --nodes 3 there are three nodes with real Raft between them on loopback ports, each
with its own directory and HTTP address; 'anabranch cluster transfer' moves leadership.

Ctrl-C ends everything in order. Without --data all is in a temporary folder and
gone afterwards; with it, a second start goes on where the first was.`,
		Example: `  anabranch dev
  anabranch dev --nodes 3
  anabranch dev --data ./anabranch-data --durability memory
  anabranch dev --kafka localhost:9092 --no-sample`,
		Args: cobra.NoArgs,
	}
	var f devFlags
	cmd.Flags().IntVar(&f.nodes, "nodes", 1, "nodes of the cluster: 1, 3 or 5; fixed when the data directory is made")
	cmd.Flags().IntVar(&f.groups, "groups", 1, "Raft groups; fixed when the data directory is made")
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
		if f.nodes != 1 && f.nodes != 3 && f.nodes != 5 {
			return usagef("--nodes %d is neither 1, 3 nor 5", f.nodes)
		}
		if f.groups < 1 || f.groups > 64 {
			return usagef("--groups %d is not from 1 to 64", f.groups)
		}
		return runDev(cmd.Context(), &f, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// dev is a system that runs in this process.
type dev struct {
	closers
	flags     *devFlags
	out       io.Writer
	lines     *lineLog
	log       *slog.Logger // of lines
	dir       *assembly.DataDir
	listeners []net.Listener // for HTTP, one per node
	taken     string         // HTTP address that was not free
	broker    *embedded.Broker
	brokers   []string
	cluster   *assembly.Cluster
	node      *assembly.Node // the first of the cluster
	decisions *decisionReader
}

func runDev(ctx context.Context, f *devFlags, out, errs io.Writer) (err error) {
	limitMemory(f)
	lines := newLineLog(errs)
	d := &dev{flags: f, out: out, lines: lines, log: slog.New(lines)}
	defer func() {
		err = errors.Join(err, d.close())
		if d.dir != nil {
			err = oneFault(d.dir.Path, err)
		}
	}()
	if err := d.open(ctx); err != nil {
		return err
	}
	d.banner()
	return d.run(ctx)
}

// open takes everything that can be refused before anything runs.
func (d *dev) open(ctx context.Context) error {
	if err := d.openDir(); err != nil {
		return err
	}
	if err := d.listen(); err != nil {
		return err
	}
	if err := d.openKafka(ctx); err != nil {
		return err
	}
	var err error
	d.cluster, err = assembly.OpenCluster(d.flags.nodes, func(i int, cfg *assembly.Config) {
		cfg.Dir, cfg.Key, cfg.Kafka.Brokers, cfg.HTTP = d.dir.Node(i), d.dir.Key, d.brokers, d.listeners[i].Addr().String()
		cfg.Durability, cfg.Clock, cfg.Delivery, cfg.OnGap = d.flags.durability, d.flags.clock, d.flags.delivery, d.flags.onGap
		cfg.Groups, cfg.Version, cfg.Log = d.flags.groups, version, d.log
		if d.flags.nodes > 1 {
			cfg.Log = d.log.With("node", cfg.ID)
		}
	})
	if err != nil {
		return err
	}
	d.node = d.cluster.Nodes[0]
	return nil
}

// listen takes an HTTP address per node: the wanted one, and any free ones
// beside it.
func (d *dev) listen() error {
	for i := range d.flags.nodes {
		address := d.flags.http
		if i > 0 {
			host, _, err := net.SplitHostPort(d.listeners[0].Addr().String())
			if err != nil {
				return err
			}
			address = net.JoinHostPort(host, "0")
		}
		l, taken, err := listenNear(address)
		if err != nil {
			return err
		}
		d.listeners = append(d.listeners, l)
		d.onClose(func() error { return closeListener(l) })
		if i == 0 {
			d.taken = taken
		}
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
	if d.dir, err = (assembly.DataDirConfig{Path: path, Nodes: d.flags.nodes}).Open(); err != nil {
		return err
	}
	d.onClose(d.dir.Close)
	return nil
}

// run runs all parts until ctx ends or one of them fails, then stops them in
// order: the shop and the API before the nodes, the nodes before the broker.
func (d *dev) run(ctx context.Context) error {
	clients, err := d.trade()
	if err != nil {
		return errors.Join(err, d.cluster.Close())
	}
	for i := range d.cluster.Nodes {
		clients = append(clients, func(ctx context.Context) error { return d.serve(ctx, i) })
	}
	if d.broker != nil {
		clients = append(clients, d.watchBroker)
	}
	return inOrder(ctx, d.cluster.Run, clients, func() {
		say(d.out, "\nstopping …\n")
		if d.flags.nodes > 1 {
			d.lines.hush()
		}
	})
}

func (d *dev) watchBroker(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.broker.Failed():
		return d.broker.Err()
	}
}

// serve serves the API of a node.
func (d *dev) serve(ctx context.Context, i int) error {
	n := d.cluster.Nodes[i]
	handler, err := httpapi.New(httpapi.Config{Cluster: n, Plan: n.Plan, Decoder: n.Decoder, Encoder: n.Encoder,
		Metrics: n.Metrics.Handler(), Version: version})
	if err != nil {
		return err
	}
	return httpapi.Serve(ctx, d.listeners[i], n.Metrics.Requests(handler), d.log)
}
