// Package kafka reads from and writes to Kafka for the cluster.
//
// [Fetcher] reads partitions it is told to read, read_committed, with control
// records kept, and never resets an offset by itself. It asks the brokers with
// plain fetch requests instead of a client's consumer, because a position must
// be exact: behind the last record may lie control records, aborted records
// and compaction holes, which a consumer skips in silence. [Sink] writes
// records and the progress they bring, in one transaction or, in
// at-least-once delivery, without. [Admin] creates and checks topics.
//
// It decides nothing: what to read, from where, and what to send again is up to
// the state machines in engine/leader. It keeps no state that matters: after
// any error a sink is opened anew and reads its progress back.
//
// Goroutines: a Fetcher has at most one per broker, the request in flight, and
// Close waits for them; the rest belong to the franz-go clients.
//
// Start at [Fetcher.Poll] and [Sink.Send]. The broker for development and tests
// is in the embedded package.
package kafka
