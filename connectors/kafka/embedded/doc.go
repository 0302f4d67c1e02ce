// Package embedded is a Kafka broker inside this process, for development and
// tests: transactions, topic ids, read_committed and all, without Java.
//
// It is franz-go's kfake with what a product needs around it. A directory
// belongs to one process at a time and is never taken for something it is not.
// After a crash, also in the middle of a commit, a transaction is committed on
// all its partitions or on none: kfake writes its markers one after the other
// and by itself would keep whatever was written. When the disk refuses a write
// the broker stops at once instead of acknowledging what it doesn't have.
//
// It has one node and no replication, never compacts or deletes in a directory
// (kfake would lose the topic if it died meanwhile), and its speed says nothing
// about Apache Kafka's.
//
// Start at [Start]; what happens to a directory after a crash is in recover.go.
package embedded
