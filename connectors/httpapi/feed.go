package httpapi

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"anabranch.dev/connectors"
)

// Limits of the live feed.
const (
	// feedRecords and feedBytes bound what a feed keeps for readers that are
	// behind: one memory for all of them.
	feedRecords = 4096
	feedBytes   = 8 << 20
	// feedBatch bounds what one reader is given at once.
	feedBatch = 16 << 10
	// feedWakes readers at most are woken at once, and the next feedRest per
	// reader later: decisions never stand in line behind all readers of the feed.
	feedWakes = 64
	feedRest  = 50 * time.Microsecond
)

// Keys under which readers wait and records are counted, beside event types.
const (
	keyAll  = ""
	keyLost = "\x00lost"
)

// feeds has the feed that readers join. There is one as long as there are
// readers.
type feeds struct {
	cfg *Config
	mu  sync.Mutex // guards now and its count of readers; before feed.mu
	now *feed
}

// feed shares one watch of the cluster among its readers: each record is encoded
// once, kept in one ring, and every reader has a place in it. A reader that the
// ring has overtaken has lost what it was behind.
//
// Its goroutine, started by the first reader, belongs to the readers: the last
// to leave ends it and waits.
type feed struct {
	encoder connectors.Encoder
	count   int // of readers; feeds.mu guards it
	stop    context.CancelFunc
	over    chan struct{} // closed when the watch has ended
	done    chan struct{} // closed when the goroutine has

	mu      sync.Mutex // guards what follows
	frames  []frame    // ring
	first   uint64     // number of the oldest frame
	next    uint64     // number of the next frame
	bytes   int
	added   map[string]uint64               // records ever added, by key
	gone    map[string]uint64               // of these, overwritten
	waiting map[string]map[*reader]struct{} // readers by key
	news    map[string]struct{}             // keys whose readers are to be woken
}

// join gives a reader of these event types, of all if there are none, a place
// behind everything that was.
func (s *feeds) join(types []string) (*feed, *reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || s.now.ended() {
		s.now = s.open()
	}
	s.now.count++
	return s.now, s.now.enter(types)
}

// leave gives a place up. It returns after the feed's goroutine if it was the
// last one.
func (s *feeds) leave(f *feed, r *reader) {
	f.exit(r)
	s.mu.Lock()
	f.count--
	last := f.count == 0
	if last && s.now == f {
		s.now = nil
	}
	s.mu.Unlock()
	if last {
		f.stop()
		<-f.done
	}
}

func (s *feeds) open() *feed {
	ctx, stop := context.WithCancel(context.Background())
	f := &feed{encoder: s.cfg.Encoder, stop: stop, over: make(chan struct{}), done: make(chan struct{}),
		frames: make([]frame, feedRecords), added: map[string]uint64{}, gone: map[string]uint64{},
		waiting: map[string]map[*reader]struct{}{}, news: map[string]struct{}{}}
	watch := s.cfg.Cluster.Watch(ctx)
	go func() {
		defer close(f.done)
		f.run(ctx, watch)
	}()
	return f
}

func (f *feed) ended() bool {
	select {
	case <-f.over:
		return true
	default:
		return false
	}
}

func (f *feed) enter(types []string) *reader {
	if len(types) == 0 {
		types = []string{keyAll}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &reader{keys: types, wake: make(chan struct{}, 1), next: f.next, seen: map[string]uint64{keyLost: f.added[keyLost]}}
	for _, key := range append([]string{keyLost}, r.keys...) {
		r.seen[key] = f.added[key]
		if f.waiting[key] == nil {
			f.waiting[key] = map[*reader]struct{}{}
		}
		f.waiting[key][r] = struct{}{}
	}
	return r
}

func (f *feed) exit(r *reader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range append([]string{keyLost}, r.keys...) {
		if delete(f.waiting[key], r); len(f.waiting[key]) == 0 {
			delete(f.waiting, key)
		}
	}
}

// run takes records in as they come and wakes their readers, few at a time.
func (f *feed) run(ctx context.Context, watch <-chan connectors.Watched) {
	defer close(f.over)
	rest := time.NewTimer(0)
	defer rest.Stop()
	resting := true
	var sleepers []*reader // still to be woken in this round
	for {
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
			resting = false
		case one, open := <-watch:
			if !open {
				return
			}
			f.add(one)
			for range len(watch) {
				if one, open = <-watch; open {
					f.add(one)
				}
			}
		}
		if resting {
			continue
		}
		if len(sleepers) == 0 {
			sleepers = f.sleepers()
		}
		now := sleepers[:min(len(sleepers), feedWakes)]
		for _, r := range now {
			select {
			case r.wake <- struct{}{}:
			default: // it is awake
			}
		}
		if sleepers = sleepers[len(now):]; len(now) > 0 {
			resting = true
			rest.Reset(time.Duration(len(now)) * feedRest)
		}
	}
}

// sleepers are the readers for whom there is news since it was asked last.
func (f *feed) sleepers() []*reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*reader
	for key := range f.news {
		list = slices.AppendSeq(list, maps.Keys(f.waiting[key]))
	}
	clear(f.news)
	return list
}

// add encodes a record and puts it into the ring, if anybody waits for it.
func (f *feed) add(one connectors.Watched) {
	if one.Lost > 0 {
		f.append(lostFrame(uint64(one.Lost)))
	}
	if one.Record == nil || !f.awaited(one.Record.Type) {
		return
	}
	out, err := f.encoder.Encode(one.Record)
	if err != nil {
		// The same record stops delivery to Kafka, which the status shows.
		f.append(lostFrame(1))
		return
	}
	var b bytes.Buffer
	b.WriteString("id: " + one.Record.ID + "\nevent: " + one.Record.Type + "\ndata: ")
	b.Write(bytes.ReplaceAll(out.Value, []byte("\n"), []byte(" ")))
	b.WriteString("\n\n")
	f.append(frame{key: one.Record.Type, weight: 1, text: b.Bytes()})
}

func (f *feed) awaited(eventType string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting[keyAll]) > 0 || len(f.waiting[eventType]) > 0
}
