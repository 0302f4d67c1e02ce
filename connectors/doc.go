// Package connectors is the contract between the cluster and the world: where
// records come from (Fetcher, Decoder), where they go (Sink, Encoder), and what
// the API may ask of a cluster (Cluster).
//
// connectors/kafka talks to Kafka, connectors/kafka/embedded is a broker in
// this process, connectors/wire turns record bytes into events and back,
// connectors/httpapi serves HTTP. None of them decides anything: the state
// machines that use them are in engine/leader.
package connectors
