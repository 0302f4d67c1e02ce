package sim

import (
	"errors"

	"anabranch.dev/connectors"
	"anabranch.dev/engine/leader"
	"anabranch.dev/state"
)

// slots is the number of transactional ids of a group.
const slots = 4

var errBroker = errors.New("broker not available")

// output is what the broker knows of one group: the epoch of each transactional
// id, and the progress topic.
type output struct {
	group    int
	epochs   []int
	progress []progressRecord
	end      int64
}

type progressRecord struct {
	offset  int64
	through map[uint16]uint64
}

// producer is a leader's handle on the transactional ids: the epochs it got.
type producer struct{ epochs []int }

// openSink initialises all slots, one after the other, and reads the progress.
// Between two slots another leader may do the same.
func (l *leadership) openSink(op leader.Op) {
	out := l.w.kafka.outputs[l.r.g.id]
	l.w.count("sink opened")
	l.sink = producer{epochs: make([]int, slots)}
	l.initSlot(out, 0, op.From)
}

func (l *leadership) initSlot(out *output, slot int, from int64) {
	life := l.r.life
	l.w.after(l.w.between(50, 3*state.Millisecond), func() {
		switch {
		case l.r.life != life:
			return // the process is gone
		case l.w.broken(60), l.w.now < l.w.kafka.away:
			l.w.count("sink could not be opened")
			l.opened(leader.Progress{}, errBroker)
		case slot == slots:
			l.opened(out.read(from), nil)
		default:
			out.epochs[slot]++
			l.sink.epochs[slot] = out.epochs[slot]
			l.initSlot(out, slot+1, from)
		}
	})
}

func (l *leadership) opened(p leader.Progress, err error) {
	if l.alive {
		l.w.tracef("g%d r%d sink open: progress to %d of %d shards, %v", l.r.g.id, l.r.id, p.Offset, len(p.Through), err)
		l.tenure.Opened(p, err, l.now())
		l.drive()
	}
}

// read is the progress topic from an offset on, as read_committed shows it.
func (o *output) read(from int64) leader.Progress {
	p := leader.Progress{Through: map[uint16]uint64{}, Offset: o.end}
	for _, rec := range o.progress {
		if rec.offset < from {
			continue
		}
		for shard, through := range rec.through {
			p.Through[shard] = through
		}
	}
	return p
}

// send runs one transaction. What the leader hears and what the broker does can
// differ.
func (l *leadership) send(op leader.Op) {
	out := l.w.kafka.outputs[l.r.g.id]
	epoch, life := l.sink.epochs[op.Slot], l.r.life
	answer := func(d state.Time, offset int64, err error) {
		l.w.after(d, func() {
			if l.alive && l.r.life == life {
				l.tenure.Sent(offset, err, l.now())
				l.drive()
			}
		})
	}
	commit := func() (offset int64, err error) {
		if out.epochs[op.Slot] != epoch {
			l.w.count("sink fenced")
			return 0, connectors.ErrFenced
		}
		l.w.commitOutput(out, l, op)
		return out.end, nil
	}
	l.w.after(l.w.between(200, 4*state.Millisecond), func() {
		back := l.w.between(50, state.Millisecond)
		switch {
		case l.w.broken(60), l.w.now < l.w.kafka.away:
			l.w.count("transaction failed")
			answer(back, 0, errBroker)
		case l.w.broken(40):
			l.w.count("outcome unknown: committed")
			if _, err := commit(); err != nil {
				answer(back, 0, err)
				return
			}
			answer(back, 0, connectors.ErrMaybe)
		case l.w.broken(40):
			l.w.count("outcome unknown: late or never")
			answer(back, 0, connectors.ErrMaybe)
			l.w.after(l.w.between(0, 20*state.Millisecond), func() { _, _ = commit() })
		default:
			offset, err := commit()
			answer(back, offset, err)
		}
	})
}

// commitOutput makes a transaction visible.
func (w *world) commitOutput(out *output, l *leadership, op leader.Op) {
	if l.r.g.leader != l {
		w.count("deposed leader delivers before it is fenced")
	}
	through := make(map[uint16]uint64, len(op.Through))
	for s, n := range op.Through {
		through[s] = n
	}
	out.progress = append(out.progress, progressRecord{offset: out.end, through: through})
	out.end += 2 // the record and the transaction's marker
	w.tracef("g%d transaction on slot %d: %d records", out.group, op.Slot, len(op.Records))
	for _, rec := range op.Records {
		w.kafka.records, w.kafka.by = append(w.kafka.records, rec), append(w.kafka.by, out.group)
		w.report.Records++
	}
	records := op.Records
	w.after(w.between(state.Millisecond, 10*state.Millisecond), func() {
		for _, rec := range records {
			w.delivered(rec)
		}
	})
}

// broken is true one time in n while transactions fail.
func (w *world) broken(n int) bool { return !w.off(Brokers) && w.chance(n) }
