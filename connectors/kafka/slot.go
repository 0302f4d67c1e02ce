package kafka

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// transactionalID of a slot: cluster, incarnation, group and slot. Whoever
// initialises it later fences whoever held it before.
func (s *Sink) transactionalID(slot int) string {
	return fmt.Sprintf("%s-%d-%d-%d", s.cfg.Cluster, s.cfg.Incarnation, s.group, slot)
}

// parseTransactionalID takes the incarnation out of an id of a cluster.
func parseTransactionalID(cluster, id string) (incarnation uint64, ok bool) {
	rest, ok := strings.CutPrefix(id, cluster+"-")
	if !ok {
		return 0, false
	}
	parts := strings.Split(rest, "-")
	if len(parts) != 3 {
		return 0, false
	}
	var numbers [3]uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return 0, false
		}
		numbers[i] = n
	}
	return numbers[0], true
}

// fenceEarlierIncarnations initialises every transactional id that earlier
// incarnations of the cluster have used, in any group: a leader of a life that
// is over must not commit any more. The first has none before it, and need not
// wait for all coordinators to answer.
func (s *Sink) fenceEarlierIncarnations(ctx context.Context) error {
	if s.cfg.Incarnation == 1 {
		return nil
	}
	admin, err := NewAdmin(s.cfg)
	if err != nil {
		return err
	}
	defer admin.Close()
	listed, err := admin.adm.ListTransactions(ctx, nil, nil)
	if err != nil { // also if only some coordinators answered: all ids must be known
		return fmt.Errorf("list transactional ids: %w", err)
	}
	for _, l := range listed.Sorted() {
		incarnation, ok := parseTransactionalID(s.cfg.Cluster, l.TxnID)
		if !ok || incarnation >= s.cfg.Incarnation {
			continue
		}
		if err := s.fence(ctx, l.TxnID); err != nil {
			return fmt.Errorf("fence %s: %w", l.TxnID, err)
		}
	}
	return nil
}

func (s *Sink) fence(ctx context.Context, transactionalID string) error {
	producer, err := s.cfg.client(s.producerOptions(transactionalID)...)
	if err != nil {
		return err
	}
	defer producer.Close()
	_, _, err = producer.ProducerID(ctx)
	return err
}

// partitioner puts progress where it says, and everything else by the hash of
// its key, as Kafka's own clients do.
type partitioner struct {
	progress string
	manual   kgo.Partitioner
	byKey    kgo.Partitioner
}

func newPartitioner(progressTopic string) kgo.Partitioner {
	return &partitioner{progress: progressTopic, manual: kgo.ManualPartitioner(), byKey: kgo.StickyKeyPartitioner(nil)}
}

// ForTopic implements kgo.Partitioner.
func (p *partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.progress {
		return p.manual.ForTopic(topic)
	}
	return p.byKey.ForTopic(topic)
}
