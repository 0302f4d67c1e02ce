package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"anabranch.dev/connectors"
)

// Writer puts records on partitions; connectors/kafka has one.
type Writer interface {
	Produce(ctx context.Context, r connectors.OutRecord, partition int32) error
	Flush(ctx context.Context) error
}

// Target says where a script goes.
type Target struct {
	Topics     map[string]string // alias → Kafka's name
	Partitions map[string]int32  // alias → partitions
	Marks      bool              // write marks, for a cluster on the replay clock
}

// Pace limits how fast a script is loaded: events per second, or a multiple of
// the events' own time. The zero Pace does not limit.
type Pace struct {
	PerSecond float64
	Times     float64
}

// Load writes a script. Events of one topic and key go to one partition. With
// marks, every partition of every input topic learns daily, and at the end, that
// nothing before a time follows. progress is told how many events are written.
// Load returns how many records those were, marks included.
func Load(ctx context.Context, w Writer, s *Script, to Target, pace Pace, progress func(done int)) (records int64, err error) {
	l := &loader{ctx: ctx, w: w, to: to}
	for alias := range to.Topics {
		l.aliases = append(l.aliases, alias)
	}
	slices.Sort(l.aliases)
	began := time.Now()
	for i, e := range s.Events {
		if err := l.markDays(e.Time); err != nil {
			return 0, err
		}
		if err := l.wait(began, pace, i, e.Time, s); err != nil {
			return 0, err
		}
		n := to.Partitions[e.Topic]
		if n == 0 {
			return 0, fmt.Errorf("topic %s: no partitions known", e.Topic)
		}
		r := connectors.OutRecord{Topic: to.Topics[e.Topic], Key: []byte(e.Key), Value: e.Value}
		if err := l.write(r, int32(xxhash.Sum64String(e.Key)%uint64(n))); err != nil {
			return 0, err
		}
		if progress != nil && i%1000 == 999 {
			progress(i + 1)
		}
	}
	if to.Marks && len(s.Events) > 0 {
		if err := l.mark(s.Events[len(s.Events)-1].Time.Add(time.Second)); err != nil {
			return 0, err
		}
	}
	if progress != nil {
		progress(len(s.Events))
	}
	return l.records, w.Flush(ctx)
}

type loader struct {
	ctx     context.Context
	w       Writer
	to      Target
	aliases []string
	day     time.Time // last one marked
	records int64
}

func (l *loader) write(r connectors.OutRecord, partition int32) error {
	l.records++
	return l.w.Produce(l.ctx, r, partition)
}

// markDays writes the marks of a new day before its first event.
func (l *loader) markDays(at time.Time) error {
	day := at.UTC().Truncate(24 * time.Hour)
	if !l.to.Marks || !day.After(l.day) {
		return nil
	}
	l.day = day
	return l.mark(day)
}

func (l *loader) mark(at time.Time) error {
	value, err := json.Marshal(map[string]string{"type": "replay.mark", "time": at.UTC().Format(time.RFC3339Nano)})
	if err != nil {
		return err
	}
	for _, alias := range l.aliases {
		for p := range l.to.Partitions[alias] {
			if err := l.write(connectors.OutRecord{Topic: l.to.Topics[alias], Key: []byte("mark"), Value: value}, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// wait holds the next event back until its turn.
func (l *loader) wait(began time.Time, pace Pace, i int, at time.Time, s *Script) error {
	var due time.Duration
	switch {
	case pace.PerSecond > 0:
		due = time.Duration(float64(i) / pace.PerSecond * float64(time.Second))
	case pace.Times > 0:
		due = time.Duration(float64(at.Sub(s.Events[0].Time)) / pace.Times)
	default:
		return l.ctx.Err()
	}
	left := time.Until(began.Add(due))
	if left <= 0 {
		return l.ctx.Err()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-l.ctx.Done():
		return l.ctx.Err()
	case <-timer.C:
		return nil
	}
}
