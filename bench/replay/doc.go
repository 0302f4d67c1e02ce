// Package replay turns public data sets into events on the input topics, in
// event-time order, with deterministic ids: a second run changes nothing.
//
// A data set is read whole into a [Script], sorted by event time; [Load] writes
// a script to Kafka, with marks that tell a cluster on the replay clock how far
// every partition has come. uci.go and its neighbours know the one data set of
// invoices, events.go takes JSON lines of our own events.
package replay
