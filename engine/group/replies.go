package group

import (
	"sync"

	"anabranch.dev/engine/core"
	"anabranch.dev/state"
)

// replies finds those who wait for the outcome of a command or control.
type replies struct {
	mu      sync.Mutex // guards what follows
	waiting map[replyKey][]*waiter
	count   int
	max     int
}

type replyKey struct {
	control    bool
	source, id string
}

// waiter is one caller. Its channel is never blocked on: a command has at most
// two replies, its outcome and its answer.
type waiter struct {
	key   replyKey
	shard state.Shard // of the event's primary key, or noShard
	ch    chan reply
}

const noShard = state.Shard(1<<16 - 1)

type reply struct {
	core.Reply
	index   uint64
	lost    bool // the tenure ended: the outcome is not known
	refused bool // it was never proposed: too much waits
}

// behalf says on whose behalf there is a wish.
type behalf uint8

const (
	ofCaller behalf = iota
	// ofMove: many callers may wait for the shard that moves, and they are not to
	// keep it from getting on. The mover takes one step of a shard at a time.
	ofMove
)

// add registers a caller, or returns nil when there are too many.
func (r *replies) add(key replyKey, shard state.Shard, b behalf) *waiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count >= r.max && b != ofMove {
		return nil
	}
	w := &waiter{key: key, shard: shard, ch: make(chan reply, 4)}
	if r.waiting == nil {
		r.waiting = map[replyKey][]*waiter{}
	}
	r.waiting[key] = append(r.waiting[key], w)
	r.count++
	return w
}

// remove forgets a caller.
func (r *replies) remove(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.waiting[w.key]
	for i := range list {
		if list[i] == w {
			r.count--
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			break
		}
	}
	if len(list) == 0 {
		delete(r.waiting, w.key)
		return
	}
	r.waiting[w.key] = list
}

// publish hands an entry's replies out. A skip has no reply of its own: that
// its entry was applied and the halt is gone is the answer.
func (r *replies) publish(out *core.Output, entry *core.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return
	}
	for _, c := range out.Replies {
		key := replyKey{source: c.Source, id: c.ID}
		if c.ControlReply(c.ID) {
			key = replyKey{control: true, id: c.ID}
		}
		r.sendLocked(key, reply{Reply: c, index: out.Index})
	}
	for i := range entry.Items {
		k := entry.Items[i].Control
		if k == nil || k.Kind != core.ControlSkip {
			continue
		}
		if h := out.Halt; h == nil || h.Index != k.Index || h.Message != k.Message {
			r.sendLocked(replyKey{control: true, id: k.ID}, reply{Reply: core.Reply{ID: k.ID, Outcome: core.OutcomeApplied}, index: out.Index})
		}
	}
}

func (r *replies) sendLocked(key replyKey, v reply) {
	for _, w := range r.waiting[key] {
		w.tell(v)
	}
}

func (w *waiter) tell(v reply) {
	select {
	case w.ch <- v:
	default: // the caller has all it can use
	}
}

// loseShard tells those whose answer is given in another group now.
func (r *replies) loseShard(s state.Shard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, list := range r.waiting {
		for _, w := range list {
			if w.shard == s {
				w.tell(reply{lost: true})
			}
		}
	}
}

// lose tells everybody that the outcome is not known.
func (r *replies) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.waiting {
		r.sendLocked(key, reply{lost: true})
	}
}
