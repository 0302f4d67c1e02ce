package linear

import "context"

// API brings a request to a node. An error is that no answer came.
type API func(ctx context.Context, node int, r *Request) (*Answer, error)

// Request is one of HTTP.
type Request struct {
	Method, Path string
	Key          string // Idempotency-Key, empty for none
	Body         string
}

// Answer is what a node answered.
type Answer struct {
	Status int
	Index  uint64 // Anabranch-Index, 0 for none
	Life   int    // which of the node's lives answered, 0 where that is not known
	Body   []byte
}
