package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"anabranch.dev/bench/replay"
	"anabranch.dev/cmd/anabranch/internal/settled"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/engine/node"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/topology"
)

type replayFlags struct {
	kafka, rate, from, to, as string
	stock                     float64
	client                    *client
	out                       *format
}

func newReplay() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay DATASET PATH",
		Short: "Turn a data set into events on the topics, in event-time order",
		Long: `Data sets:

  uci-online-retail  PATH is the folder or file of online_retail.csv(.gz): invoices
                     become orders, shipped a day later; cancellation lines become
                     cancellations or returns
  events             PATH is a file with one of our own events as JSON on each line

Ids are deterministic, so that a second replay changes nothing. Then replay waits
until the node at --addr has applied everything and shows what became of it.

The past belongs to a cluster on the replay clock, where log time follows the
events: start one with 'anabranch dev --clock replay'.`,
		Example: `  anabranch dev --clock replay --quiet &
  anabranch replay uci-online-retail data/uci-online-retail
  anabranch replay events my-events.jsonl --rate 100`,
		Args: cobra.ExactArgs(2),
	}
	f := replayFlags{}
	cmd.Flags().StringVar(&f.kafka, "kafka", "127.0.0.1:9092", "HOST:PORT of Kafka, or several separated by commas")
	cmd.Flags().StringVar(&f.rate, "rate", "max", "events per second, max, or a multiple of the events' own time such as 10x")
	cmd.Flags().StringVar(&f.from, "from", "", "leave out what is before this time, RFC 3339 or YYYY-MM-DD")
	cmd.Flags().StringVar(&f.to, "to", "", "leave out what is at or after this time")
	cmd.Flags().StringVar(&f.as, "as", "orders", "invoices become orders or sales")
	cmd.Flags().Float64Var(&f.stock, "stock", 1.05, "opening stock as a multiple of the demand")
	f.client, f.out = addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		pace, err := parseRate(f.rate)
		if err != nil {
			return err
		}
		opts, err := f.options()
		if err != nil {
			return err
		}
		r := &replayRun{flags: &f, pace: pace, errs: cmd.ErrOrStderr()}
		return r.run(cmd.Context(), cmd.OutOrStdout(), args[0], args[1], opts)
	}
	return cmd
}

// parseRate reads max, N or Nx.
func parseRate(s string) (replay.Pace, error) {
	if s == "max" {
		return replay.Pace{}, nil
	}
	number, times := strings.CutSuffix(s, "x")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n > 0) {
		return replay.Pace{}, usagef("--rate %q is none of max, a number of events per second, or a multiple such as 10x", s)
	}
	if times {
		return replay.Pace{Times: n}, nil
	}
	return replay.Pace{PerSecond: n}, nil
}

func (f *replayFlags) options() (replay.Options, error) {
	opts := replay.Options{Stock: f.stock}
	switch f.as {
	case "orders":
	case "sales":
		opts.Sales = true
	default:
		return opts, usagef("--as %q is neither orders nor sales", f.as)
	}
	if !(f.stock > 0) {
		return opts, usagef("--stock %g is not above 0", f.stock)
	}
	var err error
	if opts.From, err = parseTime("from", f.from); err != nil {
		return opts, err
	}
	opts.To, err = parseTime("to", f.to)
	return opts, err
}

func parseTime(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("--%s %q is neither RFC 3339 nor YYYY-MM-DD", flag, s)
}

// replayRun is one replay.
type replayRun struct {
	flags *replayFlags
	pace  replay.Pace
	errs  io.Writer
	plan  *topology.Plan
}

func (r *replayRun) run(ctx context.Context, w io.Writer, dataset, path string, opts replay.Options) error {
	var err error
	if r.plan, err = assembly.Plan(); err != nil {
		return err
	}
	if dataset != "uci-online-retail" && dataset != "events" {
		return usagef("data set %q is neither uci-online-retail nor events", dataset)
	}
	before, err := r.status(ctx)
	if err != nil {
		return fmt.Errorf("the cluster's clock must be known: %w", err)
	}
	if before.Clock != node.ClockReplay {
		if dataset != "events" {
			return fmt.Errorf("%s runs on clock %s, where events of the past become dead letters; start one with 'anabranch dev --clock replay'",
				r.flags.client.addr, before.Clock)
		}
		say(r.errs, "%s runs on clock %s: events more than 30 days old become dead letters\n", r.flags.client.addr, before.Clock)
	}
	script, err := r.read(dataset, path, opts)
	if err != nil {
		return err
	}
	began := time.Now()
	records, err := r.load(ctx, script, before.Clock == node.ClockReplay)
	if err != nil {
		return err
	}
	next, _ := before.positions()
	after, err := r.settle(ctx, next+records)
	if err != nil {
		return err
	}
	return r.summary(w, script, &before, &after, time.Since(began))
}

func (r *replayRun) status(ctx context.Context) (clusterStatus, error) {
	answer, err := r.flags.client.get(ctx, nil, "v1", "cluster")
	if err != nil {
		return clusterStatus{}, err
	}
	return decode[clusterStatus](r.flags.client, answer)
}

func (r *replayRun) read(dataset, path string, opts replay.Options) (*replay.Script, error) {
	if dataset == "uci-online-retail" {
		return replay.UCI(path, opts)
	}
	topicOf := func(eventType string) string {
		if in := r.plan.Input(eventType); in != nil {
			return in.Topic
		}
		return ""
	}
	return replay.Events(path, topicOf, "sales", opts)
}

// load writes the script to Kafka and returns how many records it became.
func (r *replayRun) load(ctx context.Context, script *replay.Script, marks bool) (int64, error) {
	target, err := r.target(ctx)
	if err != nil {
		return 0, err
	}
	target.Marks = marks
	producer, err := kafka.NewProducer(kafka.Config{Brokers: strings.Split(r.flags.kafka, ",")})
	if err != nil {
		return 0, usagef("--kafka: %w", err)
	}
	defer producer.Close()
	bar := newProgress(r.errs, "loading", int64(len(script.Events)))
	defer bar.finish()
	return replay.Load(ctx, producer, script, target, r.pace, func(done int) { bar.set(int64(done)) })
}

// target finds the input topics' partitions.
func (r *replayRun) target(ctx context.Context) (replay.Target, error) {
	to := replay.Target{Topics: map[string]string{}, Partitions: map[string]int32{}}
	names := assembly.TopicNames()
	var wanted []string
	for _, t := range r.plan.Topics {
		if t.Input {
			to.Topics[t.Alias] = names[t.Alias]
			wanted = append(wanted, names[t.Alias])
		}
	}
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: strings.Split(r.flags.kafka, ",")})
	if err != nil {
		return to, usagef("--kafka: %w", err)
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	infos, err := admin.Describe(ctx, wanted)
	if err != nil {
		return to, fmt.Errorf("broker %s: not reachable: %w; check --kafka", r.flags.kafka, err)
	}
	for alias, name := range to.Topics {
		for _, info := range infos {
			if info.Name == name {
				to.Partitions[alias] = info.Partitions
			}
		}
		if to.Partitions[alias] == 0 {
			return to, fmt.Errorf("broker %s: topic %s is missing; is this the cluster's Kafka?", r.flags.kafka, name)
		}
	}
	return to, nil
}

// settlePatience is how long the cluster may give no answer while it is waited
// for: nodes restart, and leaders change.
const settlePatience = 30 * time.Second

// settle waits until everything in the input topics is applied and delivered.
// least is how many records that is: the node may not have seen the last yet.
func (r *replayRun) settle(ctx context.Context, least int64) (clusterStatus, error) {
	bar := newProgress(r.errs, "applying", 0)
	defer bar.finish()
	answered := time.Now()
	var watch settled.Watch
	for {
		s, err := r.status(ctx)
		if err == nil {
			answered = time.Now()
			next, end := s.positions()
			end = max(end, least)
			bar.total(end)
			bar.set(next)
			if watch.Look(next >= end, len(s.Groups), s.leaders()) {
				return s, nil
			}
		} else if time.Since(answered) > settlePatience {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *clusterStatus) positions() (next, end int64) {
	for _, i := range s.Inputs {
		next, end = next+i.Next, end+i.End
	}
	return next, end
}

// leaders is what the groups' leaders say of them.
func (s *clusterStatus) leaders() (list []settled.Group) {
	for _, n := range s.Nodes {
		for _, g := range n.Groups {
			if g.Role == "leader" {
				list = append(list, settled.Group{Group: g.Group, Commit: g.Commit, Applied: g.Applied, OutboxRecords: g.OutboxRecords, LaneMessages: g.LaneMessages})
			}
		}
	}
	return list
}
