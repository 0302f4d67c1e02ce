package replay

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Event is one record to write.
type Event struct {
	Topic string // alias
	Key   string // Kafka key; on the reference topic type/id
	Time  time.Time
	Value []byte // JSON
}

// Script is a data set as events, in event-time order.
type Script struct {
	Name   string
	Events []Event
	Totals Totals
}

// Totals say what a script holds, to compare what came out with.
type Totals struct {
	Rows, Invoices, Orders, BadRows int
	Cancelled, Returned, NoOrder    int   // cancellation lines by what they became
	Amount                          int64 // Σ quantity × unit price over all rows, in millionths
}

// add appends an event; body holds the fields beside the envelope.
func (s *Script) add(topic, key, kind, id string, at time.Time, body any) error {
	envelope := struct {
		ID     string `json:"id"`
		Source string `json:"source"`
		Type   string `json:"type"`
		Time   string `json:"time"`
	}{id, s.Name, kind, at.UTC().Format(time.RFC3339Nano)}
	head, err := json.Marshal(envelope)
	if err != nil {
		return fmt.Errorf("event %s: %w", id, err)
	}
	fields, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("event %s: %w", id, err)
	}
	value := append(head[:len(head)-1], ',')
	value = append(value, fields[1:]...)
	s.Events = append(s.Events, Event{Topic: topic, Key: key, Time: at, Value: value})
	return nil
}

// sort puts the events in event-time order; events of one time keep theirs.
func (s *Script) sort() {
	slices.SortStableFunc(s.Events, func(a, b Event) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
}

// between drops events outside [from, to); zero times do not limit. Reference
// data and opening counts come before every limit.
func (s *Script) between(from, to time.Time) {
	s.Events = slices.DeleteFunc(s.Events, func(e Event) bool {
		early := !from.IsZero() && e.Time.Before(from) && e.Topic != "reference" && e.Topic != "stock"
		return early || !to.IsZero() && !e.Time.Before(to)
	})
}

// micros reads a decimal with up to six places into millionths.
func micros(text string) (int64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, err
	}
	if f < 0 {
		return -int64(-f*1e6 + 0.5), nil
	}
	return int64(f*1e6 + 0.5), nil
}
