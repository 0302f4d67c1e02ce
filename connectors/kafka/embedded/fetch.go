package embedded

import (
	"math"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// largestBatch is a little more than message.max.bytes allows: a share of an
// answer must have room for it.
const largestBatch = 2 << 20

// shareFetches turns the limit of a fetch request as a whole into one for each
// of its partitions.
//
// When an answer is full, kfake stops in the middle of a partition and forgets
// to say which of the transactions in it were aborted, so that a read_committed
// consumer takes their records for committed. It doesn't forget when a
// partition's own limit ends it.
func shareFetches(c *kfake.Cluster) {
	c.ControlKey(kmsg.Fetch.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if req, ok := r.(*kmsg.FetchRequest); ok {
			share(req)
		}
		return nil, nil, false
	})
}

func share(req *kmsg.FetchRequest) {
	n := 0
	for i := range req.Topics {
		n += len(req.Topics[i].Partitions)
	}
	each := max(largestBatch, req.MaxBytes/int32(max(n, 1)))
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			p.PartitionMaxBytes = min(p.PartitionMaxBytes, each)
		}
	}
	req.MaxBytes = math.MaxInt32
}
