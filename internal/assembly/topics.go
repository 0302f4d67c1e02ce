package assembly

import (
	"maps"

	"anabranch.dev/connectors/kafka"
	"anabranch.dev/connectors/kafka/embedded"
	"anabranch.dev/topology"
	"anabranch.dev/topology/retail"
)

// Partitions of a topic that does not exist yet.
const Partitions = 4

// Plan is the topology that we ship.
func Plan() (*topology.Plan, error) { return retail.Plan() }

// TopicNames maps the aliases of the plan's topics to Kafka's names.
func TopicNames() map[string]string { return retail.DefaultTopics() }

// topicNames are the names in force: a plan's own name before the alias, unless
// changed.
func topicNames(p *topology.Plan, changed map[string]string) map[string]string {
	names := map[string]string{}
	for _, t := range p.Topics {
		names[t.Alias] = p.Name + "." + t.Alias
	}
	maps.Copy(names, changed)
	return names
}

// BrokerTopics are a plan's topics for an embedded broker.
func BrokerTopics(p *topology.Plan) []embedded.Topic {
	topics := make([]embedded.Topic, len(p.Topics))
	for i, t := range KafkaTopics(p) {
		topics[i] = embedded.Topic{Name: t.Name, Partitions: t.Partitions, Compacted: t.Compacted}
	}
	return topics
}

// KafkaTopics are a plan's topics for any Kafka. One that exists may have any
// number of partitions.
func KafkaTopics(p *topology.Plan) []kafka.Topic {
	names := topicNames(p, nil)
	topics := make([]kafka.Topic, len(p.Topics))
	for i, t := range p.Topics {
		topics[i] = kafkaTopic(t, names[t.Alias])
	}
	return topics
}

// OutputTopics are those of a plan's topics that nothing is read from, under
// the names in force.
func OutputTopics(p *topology.Plan, names map[string]string) (topics []kafka.Topic) {
	for _, t := range p.Topics {
		if !t.Input {
			topics = append(topics, kafkaTopic(t, names[t.Alias]))
		}
	}
	return topics
}

func kafkaTopic(t topology.Topic, name string) kafka.Topic {
	// What others refer to must stay for as long as it is true.
	return kafka.Topic{Name: name, Partitions: Partitions, Compacted: t.Compacted || t.First}
}
