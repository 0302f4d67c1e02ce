package embedded

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestFullAnswersHideAborted has a read_committed consumer read more than one
// answer holds, of which every other transaction was aborted.
func TestFullAnswersHideAborted(t *testing.T) {
	const partitions, rounds = 4, 20
	b := startBroker(t, Config{Topics: []Topic{{Name: "out", Partitions: partitions}}})
	writer := connect(t, b, kgo.TransactionalID("w"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	padding := bytes.Repeat([]byte("x"), 20_000)
	ctx := patient(t)
	for i := range rounds {
		commit := kgo.TransactionEndTry(i%2 == 0)
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range int32(partitions) {
			r := &kgo.Record{Topic: "out", Partition: p, Key: fmt.Append(nil, commit), Value: padding}
			if err := writer.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := writer.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
	}
	reader := connect(t, b, kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(100_000), kgo.FetchMaxPartitionBytes(100_000), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	committed := 0
	for ended := 0; ended < partitions*rounds; {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			switch {
			case r.Attrs.IsControl():
				ended++
			case string(r.Key) != "true":
				t.Errorf("record %d of partition %d was aborted, and read", r.Offset, r.Partition)
			default:
				committed++
			}
		})
	}
	if want := partitions * rounds / 2; committed != want {
		t.Errorf("%d committed records were read; want %d", committed, want)
	}
}
