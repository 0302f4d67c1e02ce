package leader

import "slices"

// queue is what waits to be proposed, with its size in bytes.
type queue[T any] struct {
	items []sized[T]
	bytes int
}

type sized[T any] struct {
	item  T
	bytes int
}

// push adds an item unless the limit is passed; an empty queue takes any.
func (q *queue[T]) push(item T, bytes, limit int) bool {
	if q.bytes > 0 && q.bytes+bytes > limit {
		return false
	}
	q.items = append(q.items, sized[T]{item, bytes})
	q.bytes += bytes
	return true
}

// unshift puts an item back in front.
func (q *queue[T]) unshift(item T, bytes int) {
	q.items = append([]sized[T]{{item, bytes}}, q.items...)
	q.bytes += bytes
}

// drop removes items from anywhere.
func (q *queue[T]) drop(which func(T) bool) {
	q.items = slices.DeleteFunc(q.items, func(s sized[T]) bool {
		if !which(s.item) {
			return false
		}
		q.bytes -= s.bytes
		return true
	})
}

// take removes items up to a budget; if alone, one of any size.
func (q *queue[T]) take(budget int, alone bool, fn func(T)) (bytes int) {
	n := 0
	for ; n < len(q.items); n++ {
		if size := q.items[n].bytes; bytes+size > budget && !(alone && bytes == 0) {
			break
		}
		fn(q.items[n].item)
		bytes += q.items[n].bytes
		q.items[n] = sized[T]{}
	}
	q.items = q.items[n:]
	q.bytes -= bytes
	return bytes
}
