// Package peer is the one address on which the nodes of a cluster talk to each
// other: Raft's streams of every group, and calls from node to node.
//
// A connection begins with a header that names the cluster, the sender, and what
// it is for: a group and the replica of it that is meant, because Raft's own
// messages name neither; or calls to a node. What does not fit is refused with a
// reason, before anything else is read. Names in a header are not believed when
// the port has TLS: then the certificate says who calls.
//
// Until its header is accepted, a connection is a guest: there are only so many
// of them, in all and from one host, each has a few seconds, and the oldest
// leaves when another one comes. After that, a stream is its group's and nothing
// of this package stands in its way; a connection for calls carries one call at
// a time, is kept for the next one, and dies with a call that is given up.
//
// A call is carried out at most once. [ErrUnreachable] is promised only when its
// handler was certainly not run; everything else that went wrong is [ErrBroken].
//
// Every goroutine is the port's: [Port.Close] ends them and waits. A handler's
// panic is a fault of the node and is not caught.
//
// Start at [Listen]; [Port.Layer] carries a group, [Port.Call] asks a node. An
// accepted connection goes through guests.go, greet.go, and layer.go or serve.go;
// a dialled one through dial.go, and layer.go or pool.go and conn.go.
package peer
