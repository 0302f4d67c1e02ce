package httpapi

import (
	"slices"
	"strconv"
)

// frame is one server-sent event. weight is how many records it stands for.
type frame struct {
	key    string
	weight uint64
	text   []byte
}

// reader is one reader's place in a feed.
type reader struct {
	keys []string
	wake chan struct{}
	next uint64            // number of the frame to read next
	seen map[string]uint64 // records before it, by key
}

// wants says whether a frame is for the reader.
func (r *reader) wants(key string) bool {
	return key == keyLost || r.keys[0] == keyAll || slices.Contains(r.keys, key)
}

// counts counts a frame under the key by which the reader waits for it.
func (r *reader) counts(f *frame) {
	key := f.key
	if r.keys[0] == keyAll && key != keyLost {
		key = keyAll
	}
	r.seen[key] += f.weight
}

// lostFrame says how many records are missing in its place.
func lostFrame(n uint64) frame {
	return frame{key: keyLost, weight: n, text: []byte("event: lost\ndata: {\"records\":" + strconv.FormatUint(n, 10) + "}\n\n")}
}

// append puts a frame into the ring, over the oldest ones if there is no room.
func (f *feed) append(one frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.next-f.first == uint64(len(f.frames)) || f.first < f.next && f.bytes+len(one.text) > feedBytes {
		old := &f.frames[f.first%uint64(len(f.frames))]
		tally(f.gone, old)
		f.bytes -= len(old.text)
		*old = frame{}
		f.first++
	}
	f.frames[f.next%uint64(len(f.frames))] = one
	f.next++
	f.bytes += len(one.text)
	tally(f.added, &one)
	f.news[one.key] = struct{}{}
	if one.key != keyLost {
		f.news[keyAll] = struct{}{}
	}
}

// tally counts a frame under its own key and, a record, under that of all.
func tally(counts map[string]uint64, one *frame) {
	counts[one.key] += one.weight
	if one.key != keyLost {
		counts[keyAll] += one.weight
	}
}

// take gives the next texts for a reader, up to feedBatch bytes. more says that
// there are others behind them.
func (f *feed) take(r *reader) (texts [][]byte, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.next < f.first {
		var lost uint64
		for key, seen := range r.seen {
			lost += f.gone[key] - seen
			r.seen[key] = f.gone[key]
		}
		r.next = f.first
		if lost > 0 {
			texts = append(texts, lostFrame(lost).text)
		}
	}
	size := 0
	for ; r.next < f.next; r.next++ {
		one := &f.frames[r.next%uint64(len(f.frames))]
		if !r.wants(one.key) {
			continue
		}
		if size += len(one.text); size > feedBatch && len(texts) > 0 {
			return texts, true
		}
		r.counts(one)
		texts = append(texts, one.text)
	}
	return texts, false
}
