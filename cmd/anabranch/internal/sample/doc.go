// Package sample is a small retailer that keeps a development system busy: a
// handful of places, thirty products, orders over every channel, deliveries,
// shipments, cancellations, returns, a rush on one product every now and then,
// and once in a while an event with a typing error.
//
// It is an ordinary client: it produces to the input topics, reads decisions
// from the output topic as a warehouse would, and never looks inside. What it
// sends is a pure function of a running number, so that sending a stretch again
// after a crash changes nothing.
//
// [Shop.Run] owns no goroutine. Start at [Shop.Run].
package sample
