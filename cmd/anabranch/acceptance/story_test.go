package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"anabranch.dev/cmd/anabranch/internal/process"
	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/internal/assembly"
	"anabranch.dev/state"
	"anabranch.dev/topology/retail"
)

// Stories of the whole topology, from Kafka to Kafka, through three processes
// whose leaders are killed in the middle of each part: what is told on the
// topics and by the API is the story, once.
func TestStoriesThroughKafka(t *testing.T) {
	skipShort(t, "tells stories to three processes")
	for _, groups := range []int{1, 2} {
		t.Run(fmt.Sprintf("groups %d", groups), func(t *testing.T) {
			s := newTelling(t, groups)
			s.describe()
			s.endlessAisle()
			s.rush()
			s.end()
		})
	}
}

const storyShards = 256

// telling is a cluster that a story is told to.
type telling struct {
	*fleet
	t        *testing.T
	groups   int
	began    time.Time
	producer *kafka.Producer
	written  map[string]int64 // records by topic alias
	topics   *tail
	log      *decisions
	said     map[string][]decided // by order
	alerts   []stockAlert
	levels   map[string]stockLevel // the last by key
	numbers  map[string]uint64     // of alerts, by key
	broker   string
}

// stockAlert and stockLevel are records of other topics as they stand there.
type stockAlert struct {
	ID, Key, Kind, SKU, Location, Pool, Staff string
	Number                                    uint64
	Here, Elsewhere, Expected, Found          int64
	Places                                    []struct {
		Location string
		ATP      int64
	}
}

type stockLevel struct {
	SKU, Location      string
	OnHand             int64 `json:"on_hand"`
	Reserved, Withheld int64
	ATP                int64
	Acceptance         string // in answers only
	Confidence         string
	Described          bool
}

// newTelling starts a cluster whose topics are read from the beginning.
func newTelling(t *testing.T, groups int) *telling {
	broker := startOwnKafka(t).address()
	key := filepath.Join(t.TempDir(), "people.key")
	if p := process.Start(t, "key", "create", key); p.End() != 0 {
		t.Fatal(p.Output())
	}
	s := &telling{t: t, broker: broker, groups: groups, began: time.Now(), written: map[string]int64{}, log: newDecisions(t), said: map[string][]decided{},
		levels: map[string]stockLevel{}, numbers: map[string]uint64{}}
	s.fleet = startFleet(t, broker, key, fmt.Sprintf(", shards: %d, groups: %d", storyShards, groups), nil)
	s.producer = producer(t, broker)
	names := retail.DefaultTopics()
	s.topics = newTail(t, broker, s.take, names[retail.TopicAllocations], names[retail.TopicAlerts], names[retail.TopicStockLevels])
	t.Cleanup(func() {
		for i, n := range s.nodes {
			if t.Failed() && n != nil {
				t.Logf("n%d:\n%s", i+1, tailOf(n.Output()))
			}
		}
	})
	return s
}

// take takes down what is on the topics, and whatever may never be there.
func (s *telling) take(topic string, r *connectors.RawRecord) {
	read := func(into any) {
		if err := json.Unmarshal(r.Value, into); err != nil {
			s.t.Fatalf("%s offset %d: %v", topic, r.Offset, err)
		}
	}
	switch topic {
	case retail.DefaultTopics()[retail.TopicAllocations]:
		s.log.add(topic, r)
		var e decided
		read(&e)
		s.said[e.Order] = append(s.said[e.Order], e)
	case retail.DefaultTopics()[retail.TopicAlerts]:
		var a stockAlert
		read(&a)
		if s.numbers[a.Key]++; a.Number != s.numbers[a.Key] {
			s.t.Errorf("alert %s of %s has number %d; want %d", a.ID, a.Key, a.Number, s.numbers[a.Key])
		}
		s.alerts = append(s.alerts, a)
	default:
		var l stockLevel
		read(&l)
		s.possible("level", &l)
		s.levels[l.SKU+"/"+l.Location] = l
	}
}

// possible fails the test if more is promised than there is.
func (s *telling) possible(what string, l *stockLevel) {
	if l.OnHand < l.Reserved || l.ATP < 0 || l.ATP > l.OnHand-l.Reserved {
		s.t.Errorf("%s of %s at %s: %d on hand, %d reserved, %d to promise", what, l.SKU, l.Location, l.OnHand, l.Reserved, l.ATP)
	}
}

// write queues an event on the next partition of its topic and returns it.
func (s *telling) write(topic, kind, id, fields string) (event string) {
	s.t.Helper()
	event = envelope(kind, id) + fields + "}"
	if err := s.again(s.t.Context(), topic, id, event); err != nil {
		s.t.Fatal(err)
	}
	return event
}

// again queues an event, on another partition than before.
func (s *telling) again(ctx context.Context, topic, key, event string) error {
	partition := int32(s.written[topic] % assembly.Partitions)
	s.written[topic]++
	return s.producer.Produce(ctx, connectors.OutRecord{Topic: retail.DefaultTopics()[topic], Key: []byte(key), Value: []byte(event)}, partition)
}

func (s *telling) flush() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if err := s.producer.Flush(ctx); err != nil {
		s.t.Fatal(err)
	}
}

// until reads topics until a condition holds.
func (s *telling) until(what string, holds func() bool) {
	s.t.Helper()
	end := time.Now().Add(time.Minute)
	s.topics.until(what, nil, func() bool {
		if time.Now().After(end) {
			_, status := s.nodes[s.leader()].Client("cluster", "status")
			s.t.Fatalf("not in a minute: %s\nalerts %+v\nlevels %+v\n%s", what, s.alerts, s.levels, status)
		}
		return holds()
	})
}

// quiet waits until all that was written is applied everywhere and all that
// came of it is read.
func (s *telling) quiet() {
	s.t.Helper()
	s.flush()
	var n int64
	for _, written := range s.written {
		n += written
	}
	for i := range s.nodes {
		s.caughtUp(i)
	}
	s.settle(n)
	s.sameDigests()
	s.topics.toEnd()
}

// end wants all of it to have been told well, and all replicas to be the same.
func (s *telling) end() {
	s.t.Helper()
	s.quiet()
	s.log.good()
	if letters := readLetters(s.t, s.broker); letters.count != 0 {
		s.t.Errorf("dead letters = %d; want none", letters.count)
	}
	s.t.Logf("%d decisions and releases, %d alerts in %.1f s", len(s.log.list), len(s.alerts), time.Since(s.began).Seconds())
}

// groupOf is the group that owns a key.
func (s *telling) groupOf(key string) (group int) {
	s.t.Helper()
	shard := int(state.ShardOf(key, storyShards))
	process.Until(s.t, process.Patience, "a node that knows the group of "+key, func() bool {
		for _, n := range s.nodes {
			var answer struct{ Shards []struct{ Shard, Group int } }
			if n == nil || n.Get("/v1/shards?consistency=stale", &answer) != nil {
				continue
			}
			for _, one := range answer.Shards {
				if one.Shard == shard {
					group = one.Group
					return true
				}
			}
		}
		return false
	})
	return group
}

// leads lists the nodes that lead a group now: one, but for a moment in which a
// leader does not know yet that it is none.
func (s *telling) leads(group int) (nodes []int) {
	for i := range s.nodes {
		if v, ok := s.look(i); ok && v.Ready && v.Groups[group].Role == "leader" {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// apart waits until every group has a leader of its own. One is asked to hand
// over if a node leads two groups.
func (s *telling) apart() {
	s.t.Helper()
	process.Until(s.t, process.Patience, "leaders on different nodes", func() bool {
		var nodes []int
		for g := range s.groups {
			nodes = append(nodes, s.leads(g)...)
		}
		if len(nodes) != s.groups || s.groups == 1 || nodes[0] != nodes[1] {
			return len(nodes) == s.groups
		}
		// It may be refused while the other is behind: then once more.
		_, _ = s.nodes[nodes[0]].Client("cluster", "transfer", "1", "--to", fmt.Sprintf("n%d", (nodes[0]+1)%len(s.nodes)+1))
		return false
	})
}

// strike kills the leader of a key's group as soon as something is visible on
// the topics, and starts it again.
func (s *telling) strike(key, when string, visible func() bool) {
	s.t.Helper()
	group, victim := s.groupOf(key), 0
	s.until(when, visible)
	process.Until(s.t, process.Patience, "a leader to kill", func() bool {
		leads := s.leads(group)
		if len(leads) == 1 {
			victim = leads[0]
		}
		return len(leads) == 1
	})
	s.kill(victim)
	s.start(victim)
	s.t.Logf("%s: n%d, leader of group %d, killed after %d records", when, victim+1, group, len(s.log.list))
}

// stock waits until every node says of an SKU what is wanted, and holds each
// answer against what is possible.
func (s *telling) stock(sku, what string, wanted func(places map[string]stockLevel, unmet []unmet) bool) {
	s.t.Helper()
	for i, n := range s.nodes {
		var answer struct {
			Places []stockLevel
			Unmet  []unmet
		}
		process.Until(s.t, process.Patience, fmt.Sprintf("n%d: stock of %s: %s", i+1, sku, what), func() bool {
			answer.Places, answer.Unmet = nil, nil
			if n.Get("/v1/stock/"+sku, &answer) != nil {
				return false
			}
			places := map[string]stockLevel{}
			for _, p := range answer.Places {
				s.possible("stock", &p)
				places[p.Location] = p
			}
			return wanted(places, answer.Unmet)
		})
	}
}

// unmet is what was asked for in vain.
type unmet struct {
	Location         string
	Customers, Units int64
}

// alertsOf are the alerts about an SKU.
func (s *telling) alertsOf(sku string) (list []stockAlert) {
	for _, a := range s.alerts {
		if a.SKU == sku {
			list = append(list, a)
		}
	}
	return list
}

// describe tells of the places of both stories and waits until every group
// knows them.
func (s *telling) describe() {
	place := func(name, kind, channel, more string) {
		s.write(retail.TopicReference, "location", "location-"+name, fmt.Sprintf(
			`"location":%q,"kind":%q,"channel":%q,"timezone":"Asia/Shanghai",%s`, name, kind, channel, more))
	}
	place("WEB", "web", "own_online", `"pools":["web"]`)
	place("S1", "store", "own_store", `"lat":31.23,"lon":121.47,"pools":["store"]`)
	place("F", "store", "own_store", `"lat":31.24,"lon":121.48,"shipping_cost":"1","pools":["store"]`)
	place("S3", "store", "franchise_store", `"owner":"franchisee","lat":31.30,"lon":121.50,"shipping_cost":"2","pools":["store"]`)
	for i := range rushStores {
		place(rushStore(i), "store", "own_store", `"shipping_cost":"1","pools":["store"]`)
	}
	for _, at := range []string{"S1 store 0", "F store 1", "S3 store 1", "WEB web 0"} {
		s.counted("SHOE-42", at)
	}
	for i := range rushStores {
		s.counted("H", rushStore(i)+" store 25")
	}
	s.counted("H", "WEB web 100")
	s.flush()
	// The two SKUs belong to different groups, if there are two.
	for sku, n := range map[string]int{"SHOE-42": 4, "H": rushStores + 1} {
		s.stock(sku, "counted at places that are described", func(places map[string]stockLevel, _ []unmet) bool {
			for _, p := range places {
				if !p.Described {
					return false
				}
			}
			return len(places) == n
		})
	}
}

// counted writes a count: SKU, and location, pool and quantity in words.
func (s *telling) counted(sku, at string) {
	var location, pool string
	var quantity int
	if _, err := fmt.Sscan(at, &location, &pool, &quantity); err != nil {
		s.t.Fatal(err)
	}
	id := "count-" + sku + "-" + location
	s.write(retail.TopicStock, "stock.counted", id, fmt.Sprintf(`"sku":%q,"location":%q,"pool":%q,"quantity":%d,"document":%q`, sku, location, pool, quantity, id))
}
