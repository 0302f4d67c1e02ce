package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"anabranch.dev/connectors"
)

// Topic is an output topic as the plan wants it.
type Topic struct {
	Name       string
	Partitions int32 // of a new topic; at least so many of an existing one
	Compacted  bool
	// Replication of a new topic; 0 leaves it to the broker's default.
	Replication int16
}

// ErrMissing: a topic does not exist.
var ErrMissing = errors.New("topic is missing")

// Admin creates, checks and describes topics. It is safe for concurrent use.
type Admin struct {
	client *kgo.Client
	adm    *kadm.Client
}

// NewAdmin connects lazily: a broker that is away shows at the first call.
func NewAdmin(cfg Config) (*Admin, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	client, err := cfg.client()
	if err != nil {
		return nil, err
	}
	return &Admin{client: client, adm: kadm.NewClient(client)}, nil
}

// Close ends its connections.
func (a *Admin) Close() { a.client.Close() }

// Ping asks any broker whether it is there.
func (a *Admin) Ping(ctx context.Context) error { return a.client.Ping(ctx) }

// Ensure creates the topics that are missing and checks the others: too few
// partitions or a missing compaction are errors, all reported at once.
func (a *Admin) Ensure(ctx context.Context, topics []Topic) error {
	var faults []error
	for i := range topics {
		if err := ensure(ctx, a.adm, &topics[i]); err != nil {
			faults = append(faults, fmt.Errorf("topic %s: %w", topics[i].Name, err))
		}
	}
	return errors.Join(faults...)
}

// Describe looks topics up; a missing one is left out.
func (a *Admin) Describe(ctx context.Context, topics []string) ([]connectors.TopicInfo, error) {
	return describe(ctx, a.adm, topics)
}

// Delete removes topics and a consumer group, as far as they are there.
func (a *Admin) Delete(ctx context.Context, topics []string, group string) error {
	var faults []error
	deleted, err := a.adm.DeleteTopics(ctx, topics...)
	faults = append(faults, err)
	for _, d := range deleted.Sorted() {
		if d.Err != nil && !errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			faults = append(faults, fmt.Errorf("delete topic %s: %w", d.Topic, d.Err))
		}
	}
	if _, err := a.adm.DeleteGroup(ctx, group); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		faults = append(faults, fmt.Errorf("delete group %s: %w", group, err))
	}
	return errors.Join(faults...)
}

// settleTimeout is how long brokers may take to tell each other of a new topic.
const settleTimeout = 10 * time.Second

func ensure(ctx context.Context, adm *kadm.Client, t *Topic) error {
	configs := map[string]*string{}
	if t.Compacted {
		configs["cleanup.policy"] = kadm.StringPtr("compact")
	}
	replication := t.Replication
	if replication == 0 {
		replication = -1
	}
	resp, err := adm.CreateTopic(ctx, t.Partitions, replication, configs, t.Name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		if resp.ErrMessage != "" {
			return fmt.Errorf("%w (%s)", err, resp.ErrMessage)
		}
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for tries := 1; ; tries++ {
		err := check(ctx, adm, t)
		if err == nil || !errors.Is(err, ErrMissing) && !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(backoff(tries)):
		}
	}
}

// check compares an existing topic with what we want.
func check(ctx context.Context, adm *kadm.Client, t *Topic) error {
	details, err := adm.ListTopics(ctx, t.Name)
	if err != nil {
		return err
	}
	detail, ok := details[t.Name]
	if !ok {
		return ErrMissing
	}
	if detail.Err != nil {
		return detail.Err
	}
	if n := int32(len(detail.Partitions)); n < t.Partitions {
		return fmt.Errorf("has %d partitions, want at least %d", n, t.Partitions)
	}
	for _, p := range detail.Partitions {
		if p.Leader < 0 {
			return fmt.Errorf("partition %d: %w", p.Partition, kerr.LeaderNotAvailable)
		}
	}
	if !t.Compacted {
		return nil
	}
	policy, err := cleanupPolicy(ctx, adm, t.Name)
	if err != nil {
		return err
	}
	if policy != "compact" {
		return fmt.Errorf("cleanup.policy is %q, want compact", policy)
	}
	return nil
}

func cleanupPolicy(ctx context.Context, adm *kadm.Client, topic string) (string, error) {
	resources, err := adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return "", err
	}
	resource, err := resources.On(topic, nil)
	if err != nil {
		return "", err
	}
	if resource.Err != nil {
		return "", resource.Err
	}
	for _, c := range resource.Configs {
		if c.Key == "cleanup.policy" && c.Value != nil {
			return strings.TrimSpace(*c.Value), nil
		}
	}
	return "", nil
}

func describe(ctx context.Context, adm *kadm.Client, topics []string) ([]connectors.TopicInfo, error) {
	if len(topics) == 0 {
		return nil, nil // an empty list would ask for all topics
	}
	details, err := adm.ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	var present []string
	for _, name := range topics {
		d, ok := details[name]
		switch {
		case !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
		case d.Err != nil:
			return nil, fmt.Errorf("describe topic %s: %w", name, d.Err)
		default:
			present = append(present, name)
		}
	}
	if len(present) == 0 {
		return nil, nil
	}
	starts, err := adm.ListStartOffsets(ctx, present...)
	if err != nil {
		return nil, fmt.Errorf("list start offsets: %w", err)
	}
	infos := make([]connectors.TopicInfo, 0, len(present))
	for _, name := range present {
		d := details[name]
		info := connectors.TopicInfo{Name: name, TopicID: topicIDText(d.ID), Partitions: int32(len(d.Partitions))}
		for p := range info.Partitions {
			o, ok := starts.Lookup(name, p)
			if !ok {
				return nil, fmt.Errorf("topic %s partition %d: no start offset", name, p)
			}
			if o.Err != nil {
				return nil, fmt.Errorf("topic %s partition %d: %w", name, p, o.Err)
			}
			info.Starts = append(info.Starts, o.Offset)
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// topicIDText writes a topic id as in connectors.PartitionID: 32 hex digits.
func topicIDText(id [16]byte) string { return hex.EncodeToString(id[:]) }

// parseTopicID is the inverse of topicIDText.
func parseTopicID(text string) (id [16]byte, ok bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return [16]byte(b), true
}
