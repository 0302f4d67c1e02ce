package acceptance

import (
	"context"
	"slices"
	"testing"
	"time"

	"anabranch.dev/bench/replay"
	"anabranch.dev/connectors"
	"anabranch.dev/connectors/kafka"
	"anabranch.dev/topology/retail"
)

// gaps measures, by the time that each record was sent at, how long no decision
// was sent while there was work.
type gaps struct {
	log   *decisions
	sent  []time.Time
	kills []time.Time // of leaders
}

// tail reads the topic into the log.
func (g *gaps) tail(broker string) *tail {
	return newTail(g.log.t, broker, func(topic string, r *connectors.RawRecord) {
		g.sent = append(g.sent, r.Time.Wall())
		g.log.add(topic, r)
	}, retail.DefaultTopics()[retail.TopicAllocations])
}

func (g *gaps) killed() { g.kills = append(g.kills, time.Now()) }

// longest is the longest time between two decisions.
func (g *gaps) longest() (longest time.Duration) {
	slices.SortFunc(g.sent, time.Time.Compare)
	for i := 1; i < len(g.sent); i++ {
		longest = max(longest, g.sent[i].Sub(g.sent[i-1]))
	}
	return longest.Round(time.Millisecond)
}

// afterKills lists the times from the kill of a leader to the next decision.
func (g *gaps) afterKills() (list []time.Duration) {
	for _, k := range g.kills {
		if i, _ := slices.BinarySearchFunc(g.sent, k, time.Time.Compare); i < len(g.sent) {
			list = append(list, g.sent[i].Sub(k).Round(time.Millisecond))
		}
	}
	return list
}

// loadAt writes a script at a rate. It goes on while the broker is away.
func loadAt(t *testing.T, to *kafka.Producer, at replay.Target, s *replay.Script, perSecond float64) int64 {
	ctx, cancel := context.WithTimeout(t.Context(), 2*long)
	defer cancel()
	records, err := replay.Load(ctx, to, s, at, replay.Pace{PerSecond: perSecond}, nil)
	if err != nil {
		t.Errorf("load: %v", err)
	}
	return records
}
