package sim

import (
	"anabranch.dev/connectors"
	"anabranch.dev/engine/core"
	"anabranch.dev/engine/leader"
	"anabranch.dev/operators"
	"anabranch.dev/state"
	"anabranch.dev/state/codec"
)

// kafka is the simulated broker: input partitions, and output topics behind
// transactions.
type kafka struct {
	w        *world
	topics   []*topic
	inputs   []*partition // of all topics that there ever were
	ids      int          // topic ids given
	gap      leader.GapPolicy
	promised int       // inputs that the workload brings later
	outputs  []*output // one per group
	records  []*operators.Record
	by       []int      // the group that wrote each
	away     state.Time // no output is taken until then
}

// partition is one input partition.
type partition struct {
	partition core.Partition
	id        connectors.PartitionID
	records   []connectors.RawRecord // in order of offset; holes between them
	start     int64                  // records below are gone
	end       int64                  // next offset
	stable    int64                  // what read_committed may see
	gone      bool                   // with its topic
	again     bool                   // of a topic that was made anew
}

func newKafka(w *world) *kafka {
	k := &kafka{w: w, gap: leader.GapSkip}
	if w.cfg.Clock == core.ClockWall && w.rng.IntN(2) == 0 {
		k.gap = leader.GapStop
	}
	for _, in := range w.workload.Topics() {
		t := &topic{alias: in.Alias, declared: in.Partitions}
		for _, declared := range w.plan.Topics {
			t.first = t.first || declared.Alias == in.Alias && declared.Input && declared.First
		}
		k.topics = append(k.topics, t)
		k.create(t, in.Partitions)
	}
	for g := range w.cfg.Groups {
		k.outputs = append(k.outputs, &output{group: g, epochs: make([]int, slots)})
	}
	return k
}

func (k *kafka) first(alias string) bool {
	t := k.topic(alias)
	return t != nil && t.first
}

func (k *kafka) input(p core.Partition) *partition {
	for _, in := range k.inputs {
		if in.partition == p {
			return in
		}
	}
	return nil
}

// produce appends a record, now and then between transaction markers or behind
// a hole that compaction or an aborted transaction left.
func (k *kafka) produce(in Input) {
	t := k.topic(in.Topic)
	if t == nil || in.Partition >= t.declared {
		k.w.failf("workload: no partition %d of topic %q", in.Partition, in.Topic)
		return
	}
	p := t.partitions[in.Partition]
	if added := len(t.partitions) - t.declared; added > 0 && k.w.rng.IntN(3) == 0 {
		p = t.partitions[t.declared+k.w.rng.IntN(added)]
	}
	if k.w.content.IntN(10) == 0 {
		p.end += 1 + k.w.content.Int64N(3)
		k.w.count("hole in an input")
	}
	r := connectors.RawRecord{Offset: p.end, Value: in.Value}
	if in.Value == nil {
		value, err := k.w.codec.Append(nil, core.Level, &core.Range{Time: in.Mark, Events: in.Events})
		if err != nil {
			k.w.failf("encode input: %w", err)
		}
		r.Value, r.Key = value, encoded
	}
	p.records = append(p.records, r)
	p.end++
	if k.w.content.IntN(6) == 0 {
		p.records = append(p.records, connectors.RawRecord{Offset: p.end, Control: true})
		p.end++
		k.w.count("control record")
	}
	end := p.end
	k.w.after(k.w.between(10, 5*state.Millisecond), func() { k.commit(p, end) })
}

// encoded is the key of records in the log's own encoding.
var encoded = []byte("encoded")

// decoder reads records as produce writes them: an input is in the log's own
// encoding, or bytes that the workload reads.
type decoder struct {
	codec *codec.Codec
	bytes Decoder
}

func (w *world) decoder() decoder {
	d, _ := w.workload.(Decoder)
	return decoder{w.codec, d}
}

func (d decoder) Decode(alias string, r *connectors.RawRecord, emit func(operators.Event)) operators.Mark {
	if string(r.Key) != string(encoded) && d.bytes != nil {
		return d.bytes.Decode(alias, r, emit)
	}
	var in core.Range
	if err := d.codec.Decode(r.Value, &in); err != nil {
		emit(operators.Event{Reject: &operators.Reject{Code: "undecodable"}})
		return operators.Mark{}
	}
	for i := range in.Events {
		emit(in.Events[i])
	}
	return operators.Mark{Time: in.Time}
}

// commit moves the last stable offset on and wakes whoever reads.
func (k *kafka) commit(p *partition, end int64) {
	if end <= p.stable {
		return
	}
	p.stable = end
	for _, g := range k.w.groups {
		for _, r := range g.replicas {
			if r.lead == nil || !r.lead.alive {
				continue
			}
			if rd := r.lead.readers[p.id]; rd != nil {
				rd.poll(k.w.between(10, 2*state.Millisecond))
			}
		}
	}
}

// reader is a leader's fetcher of one partition.
type reader struct {
	l        *leadership
	p        *partition
	position int64
	assigned int // counts assignments
	paused   bool
	polling  bool
}

// act does what the intake asks of the fetcher.
func (l *leadership) act(a leader.Action) {
	rd := l.readers[a.Partition]
	if rd == nil {
		for _, p := range l.w.kafka.inputs {
			if p.id == a.Partition {
				rd = &reader{l: l, p: p}
			}
		}
		l.readers[a.Partition] = rd
	}
	switch a.Kind {
	case leader.Assign:
		if rd.assigned > 0 {
			l.w.count("partition assigned anew")
		}
		rd.position, rd.paused = a.Offset, false
		rd.assigned++
	case leader.Pause:
		l.w.count("partition paused")
		rd.paused = true
	case leader.Resume:
		rd.paused = false
	case leader.Remove:
		delete(l.readers, a.Partition)
		return
	}
	rd.poll(l.w.between(10, state.Millisecond))
}

// poll asks the broker a little later, if nobody has asked yet.
func (rd *reader) poll(d state.Time) {
	if rd.polling || rd.paused {
		return
	}
	rd.polling = true
	rd.l.w.after(d, func() {
		rd.polling = false
		if rd.l.alive && !rd.paused && rd.l.readers[rd.p.id] == rd {
			rd.fetch()
		}
	})
}

// fetch answers from the log as it is now; the answer travels a little.
func (rd *reader) fetch() {
	w, p := rd.l.w, rd.p
	f := connectors.Fetch{Partition: p.id, From: rd.position, Position: rd.position, Stable: p.stable}
	switch {
	case w.chance(200):
		w.count("fetch lost")
		rd.poll(w.between(state.Millisecond, 50*state.Millisecond))
		return
	case p.gone:
		f.Err = connectors.ErrTopicChanged
	case rd.position < p.start:
		f.Err, f.Start = connectors.ErrOutOfRange, p.start
		w.count("offset out of range")
	case rd.position < p.stable:
		rd.read(&f)
	}
	again := state.Second
	switch {
	case f.Err != nil:
		again = w.between(100*state.Millisecond, state.Second)
	case f.Position < p.stable:
		again = w.between(20, 2*state.Millisecond)
	}
	alias := p.partition.Topic
	w.after(w.between(20, 3*state.Millisecond), func() {
		if rd.l.alive && rd.l.tenure != nil {
			b := leader.Decode(w.decoder(), alias, &f)
			rd.l.tenure.Intake.Fetched(b, rd.l.now())
			rd.l.drive()
		}
	})
	rd.poll(again)
}

// read fills a fetch with a random number of records.
func (rd *reader) read(f *connectors.Fetch) {
	limit := 1 + rd.l.w.rng.IntN(12)
	f.Position = rd.p.stable
	for _, r := range rd.p.records {
		if r.Offset < rd.position || r.Offset >= rd.p.stable {
			continue
		}
		if len(f.Records) == limit {
			f.Position = f.Records[limit-1].Offset + 1
			break
		}
		f.Records = append(f.Records, r)
	}
	rd.position = f.Position
}
