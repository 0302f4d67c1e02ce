package kafka

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka/embedded"
)

func TestFetchesCommittedRecordsInOrderAndCountsWhatItSkips(t *testing.T) {
	eachBroker(t, testFetchesCommittedRecordsInOrderAndCountsWhatItSkips)
}

func testFetchesCommittedRecordsInOrderAndCountsWhatItSkips(t *testing.T, b *testBroker) {
	in := b.topic("in", 1)[0]
	b.put(in, "a")                                                        // 0
	b.end(b.transaction(in, b.prefix+"-x", "b", "c"), kgo.TryCommit)      // 1 2, marker 3
	b.end(b.transaction(in, b.prefix+"-y", "lost", "lost"), kgo.TryAbort) // 4 5, marker 6
	values, last := b.readAll(in, 0)
	if want := []string{"a", "b", "c"}; !slices.Equal(values, want) {
		t.Errorf("records = %v; want %v", values, want)
	}
	if last.Position != 7 || last.Stable != 7 {
		t.Errorf("at the end Position, Stable = %d, %d; want 7, 7", last.Position, last.Stable)
	}
}

func TestHoldsBackBehindAnOpenTransaction(t *testing.T) {
	eachBroker(t, testHoldsBackBehindAnOpenTransaction)
}

func testHoldsBackBehindAnOpenTransaction(t *testing.T, b *testBroker) {
	in := b.topic("in", 1)[0]
	b.put(in, "a")
	open := b.transaction(in, b.prefix+"-x", "b")
	b.put(in, "c")
	values, last := b.readStable(in, 0)
	if !slices.Equal(values, []string{"a"}) || last.Stable != 1 {
		t.Fatalf("before the commit: records = %v, Stable = %d; want [a], 1", values, last.Stable)
	}
	f := b.fetcher()
	f.Assign(in, last.Position)
	b.poll(f, atEnd)
	b.end(open, kgo.TryCommit)
	values = nil
	b.poll(f, func(fetch connectors.Fetch) bool {
		for _, r := range fetch.Records {
			if !r.Control {
				values = append(values, string(r.Value))
				if age := time.Since(r.Time.Wall()); age.Abs() > time.Minute {
					t.Errorf("record %d was written %v ago; want just now", r.Offset, age)
				}
			}
		}
		return fetch.Position == 4
	})
	if want := []string{"b", "c"}; !slices.Equal(values, want) {
		t.Errorf("after the commit: records = %v; want %v", values, want)
	}
}

func atEnd(f connectors.Fetch) bool { return f.Position >= f.Stable }

func TestReportsTheEndAgain(t *testing.T) { eachBroker(t, testReportsTheEndAgain) }

func testReportsTheEndAgain(t *testing.T, b *testBroker) {
	ids := b.topic("in", 2)
	b.put(ids[0], "a")
	f := b.fetcher()
	for _, id := range ids {
		f.Assign(id, 0)
	}
	reports := map[int32]int{}
	last := map[int32]time.Time{}
	b.poll(f, func(fetch connectors.Fetch) bool {
		if !atEnd(fetch) {
			return false
		}
		p := fetch.Partition.Partition
		if at, ok := last[p]; ok && time.Since(at) > 3*time.Second {
			t.Errorf("partition %d was silent for %v; want a report every second", p, time.Since(at))
		}
		last[p] = time.Now()
		reports[p]++
		return reports[0] >= 3 && reports[1] >= 3
	})
}

func TestPauseResumeRemoveAssign(t *testing.T) { eachBroker(t, testPauseResumeRemoveAssign) }

func testPauseResumeRemoveAssign(t *testing.T, b *testBroker) {
	ids := b.topic("in", 3)
	f := b.fetcher()
	for _, id := range ids {
		f.Assign(id, 0)
	}
	ends := map[int32]bool{}
	b.poll(f, func(fetch connectors.Fetch) bool {
		ends[fetch.Partition.Partition] = true
		return len(ends) == 3
	})
	f.Pause(ids[0])
	f.Remove(ids[1])
	for _, id := range ids {
		b.put(id, "a", "b")
	}
	count := 0
	b.poll(f, func(fetch connectors.Fetch) bool {
		if fetch.Partition != ids[2] {
			t.Errorf("fetched partition %d; want only partition 2", fetch.Partition.Partition)
		}
		count += len(fetch.Records)
		return count == 2 && len(fetch.Records) == 0 // reported at its end once more
	})
	f.Resume(ids[0])
	expect(t, b, f, ids[0], "a", "b")
	f.Assign(ids[0], 1)
	expect(t, b, f, ids[0], "b")
}

// expect polls for the records of one partition.
func expect(t *testing.T, b *testBroker, f *Fetcher, id connectors.PartitionID, want ...string) {
	t.Helper()
	var got []string
	b.poll(f, func(fetch connectors.Fetch) bool {
		if fetch.Partition == id {
			for _, r := range fetch.Records {
				got = append(got, string(r.Value))
			}
		}
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("partition %d: records = %v; want %v", id.Partition, got, want)
	}
}

func TestOutOfRange(t *testing.T) { eachBroker(t, testOutOfRange) }

func testOutOfRange(t *testing.T, b *testBroker) {
	ids := b.topic("in", 2)
	for _, id := range ids {
		b.put(id, "a", "b", "c")
	}
	trim := kmsg.NewPtrDeleteRecordsRequest()
	trim.TimeoutMillis = 5000
	trim.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: ids[0].Topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: 2}}}}
	if _, err := trim.RequestWith(b.ctx, b.client()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id          connectors.PartitionID
		from, start int64
	}{
		{ids[0], 0, 2},   // gone by retention
		{ids[1], 100, 0}, // never there
	} {
		f := b.fetcher()
		f.Assign(c.id, c.from)
		var got connectors.Fetch
		b.poll(f, func(fetch connectors.Fetch) bool { got = fetch; return true })
		if !errors.Is(got.Err, connectors.ErrOutOfRange) || got.Start != c.start || got.Position != c.from || got.Stable != 3 {
			t.Errorf("partition %d from %d: Err = %v, Start = %d, Position = %d, Stable = %d; want out of range, %d, %d, 3",
				c.id.Partition, c.from, got.Err, got.Start, got.Position, got.Stable, c.start, c.from)
		}
		f.Assign(c.id, got.Start)
		expect(t, b, f, c.id, []string{"a", "b", "c"}[c.start:]...)
	}
}

func TestRecreatedTopic(t *testing.T) { eachBroker(t, testRecreatedTopic) }

func testRecreatedTopic(t *testing.T, b *testBroker) {
	in := b.topic("in", 1)[0]
	b.put(in, "old")
	f := b.fetcher()
	f.Assign(in, 0)
	expect(t, b, f, in, "old")
	if _, err := b.admin().DeleteTopic(b.ctx, in.Topic); err != nil {
		t.Fatal(err)
	}
	// Missing for now: it is said, and no other topic's records are read.
	for {
		fetches, err := f.Poll(b.ctx)
		if errors.Is(err, ErrMissing) {
			break
		}
		if err != nil && b.ctx.Err() != nil {
			t.Fatalf("Poll of a deleted topic: %v, %v; want %v", fetches, err, ErrMissing)
		}
	}
	renewed := b.topic("in", 1)[0]
	b.put(renewed, "new")
	for got := (connectors.Fetch{}); !errors.Is(got.Err, connectors.ErrTopicChanged); {
		fetches, err := f.Poll(b.ctx)
		if err != nil && !errors.Is(err, ErrMissing) {
			t.Fatal(err)
		}
		for _, got = range fetches {
			if len(got.Records) > 0 {
				t.Fatalf("fetched %v from the re-created topic", got.Records)
			}
		}
	}
	f.Assign(renewed, 0)
	expect(t, b, f, renewed, "new")
}

func TestReadOne(t *testing.T) { eachBroker(t, testReadOne) }

func testReadOne(t *testing.T, b *testBroker) {
	in := b.topic("in", 1)[0]
	b.put(in, "a")                                                // 0
	b.end(b.transaction(in, b.prefix+"-x", "b"), kgo.TryCommit)   // 1, marker 2
	b.end(b.transaction(in, b.prefix+"-y", "lost"), kgo.TryAbort) // 3, marker 4
	tombstone := &kgo.Record{Topic: in.Topic, Key: []byte("k"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}}
	if err := b.client().ProduceSync(b.ctx, tombstone).FirstErr(); err != nil { // 5
		t.Fatal(err)
	}
	b.settle(in)
	f := b.fetcher()
	f.Assign(in, 6) // a long poll in flight does not hurt
	b.poll(f, atEnd)
	r, err := f.ReadOne(b.ctx, in, 1)
	if err != nil || string(r.Value) != "b" || r.Offset != 1 {
		t.Errorf("ReadOne(1) = %q at %d, %v; want b at 1", r.Value, r.Offset, err)
	}
	r, err = f.ReadOne(b.ctx, in, 5)
	if err != nil || r.Value != nil || string(r.Key) != "k" || len(r.Headers) != 1 || string(r.Headers[0].Value) != "v" {
		t.Errorf("ReadOne(5) = %+v, %v; want a tombstone with key k and a header", r, err)
	}
	for _, offset := range []int64{2, 3, 4, 6, 99} { // markers, aborted, end, beyond
		if r, err := f.ReadOne(b.ctx, in, offset); !errors.Is(err, connectors.ErrOutOfRange) {
			t.Errorf("ReadOne(%d) = %+v, %v; want %v", offset, r, err, connectors.ErrOutOfRange)
		}
	}
	other := in
	other.TopicID = strings.Repeat("ab", 16)
	if _, err := f.ReadOne(b.ctx, other, 1); !errors.Is(err, connectors.ErrTopicChanged) {
		t.Errorf("ReadOne of another topic id: %v; want %v", err, connectors.ErrTopicChanged)
	}
}

func TestCommitOffsets(t *testing.T) { eachBroker(t, testCommitOffsets) }

func testCommitOffsets(t *testing.T, b *testBroker) {
	ids := b.topic("in", 2)
	cfg := b.config()
	cfg.Group = b.prefix
	f, err := NewFetcher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.CommitOffsets(b.ctx, map[connectors.PartitionID]int64{ids[0]: 7, ids[1]: 9}); err != nil {
		t.Fatal(err)
	}
	offsets, err := b.admin().FetchOffsets(b.ctx, b.prefix)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{7, 9} {
		if o, ok := offsets.Lookup(ids[i].Topic, int32(i)); !ok || o.At != want {
			t.Errorf("offset of partition %d = %d, %v; want %d", i, o.At, ok, want)
		}
	}
}

func TestDescribeLeavesMissingTopicsOut(t *testing.T) {
	eachBroker(t, testDescribeLeavesMissingTopicsOut)
}

func testDescribeLeavesMissingTopicsOut(t *testing.T, b *testBroker) {
	ids := b.topic("in", 2)
	infos, err := b.fetcher().Describe(b.ctx, []string{b.prefix + ".nowhere", ids[0].Topic})
	if err != nil || len(infos) != 1 {
		t.Fatalf("Describe = %v, %v; want one topic", infos, err)
	}
	if got := infos[0]; got.Name != ids[0].Topic || got.Partitions != 2 || !slices.Equal(got.Starts, []int64{0, 0}) || len(got.TopicID) != 32 {
		t.Errorf("Describe = %+v; want 2 partitions from 0 and an id of 32 digits", got)
	}
}

func TestRefetchesAfterABrokersFault(t *testing.T) {
	b := newEmbedded(t, embedded.Config{})
	in := b.topic("in", 1)[0]
	b.put(in, "a", "b")
	handle := b.broker.Cluster().Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: in.Topic, Err: kerr.NotLeaderForPartition},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: in.Topic, Err: kerr.UnknownTopicID},
	)
	f := b.fetcher()
	f.Assign(in, 0)
	expect(t, b, f, in, "a", "b")
	if handle.Hits() != 2 {
		t.Errorf("the broker failed %d requests; want 2", handle.Hits())
	}
}

func TestPollEndsWithItsContextAndWithClose(t *testing.T) {
	eachBroker(t, testPollEndsWithItsContextAndWithClose)
}

func testPollEndsWithItsContextAndWithClose(t *testing.T, b *testBroker) {
	f := b.fetcher()
	f.Assign(b.topic("in", 1)[0], 0)
	b.poll(f, atEnd)
	f.Close()
	if _, err := f.Poll(b.ctx); !errors.Is(err, errClosed) {
		t.Errorf("Poll after Close: %v; want %v", err, errClosed)
	}
}
