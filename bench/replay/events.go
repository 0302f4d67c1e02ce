package replay

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Events reads JSON lines of our own events. topicOf gives the topic alias of an
// event type; a line whose type has none goes to fallback, where it is
// dead-lettered with its reason.
func Events(path string, topicOf func(eventType string) string, fallback string, opts Options) (*Script, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &Script{Name: path}
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 64<<10), 2<<20)
	var last time.Time
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var e struct {
			Type, Time, Order, Receipt, SKU string
			Location, ID                    string
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		at, err := time.Parse(time.RFC3339Nano, e.Time)
		if err != nil {
			at = last // the cluster dead-letters it; here it only needs a place
		}
		last = at
		topic := topicOf(e.Type)
		if topic == "" {
			topic = fallback
		}
		s.Events = append(s.Events, Event{Topic: topic, Key: keyOf(topic, e.Type, e.Order, e.Receipt, e.SKU, e.Location, e.ID),
			Time: at, Value: []byte(lines.Text())})
		s.Totals.Rows++
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.sort()
	s.between(opts.From, opts.To)
	return s, nil
}

// keyOf is the Kafka key of an event: advice only, but it keeps what belongs
// together in one partition.
func keyOf(topic, kind string, ids ...string) string {
	for _, id := range ids {
		if id == "" {
			continue
		}
		if topic == "reference" {
			return kind + "/" + id
		}
		return id
	}
	return ""
}
