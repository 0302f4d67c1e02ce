// Package apachekafka runs a real Apache Kafka as processes of this machine,
// for tests and benchmarks and for whoever wants to try the system on one: no
// container engine is needed, only a Java runtime and, the first time, Maven.
//
// [Start] starts one broker, or three with replication 3 and two in-sync
// replicas required, on free ports, and returns when they answer. A [Cluster]
// kills, stops and restarts single brokers on their ports and folders. The jars
// come from Maven Central into a cache folder that later runs and other
// processes share, see [Library].
//
// It ends only processes that it started, and they die with the process that
// started them, however that ends. The output of each broker is kept in a file;
// [Cluster.Logs] shows its end. Each broker has one goroutine that waits for its
// process; [Cluster.Close] waits for all of them.
//
// Start at [Run] in a test and at [Start] elsewhere.
package apachekafka
