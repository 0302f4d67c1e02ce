package acceptance

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// keyed is a pair of orders that were placed at once through two nodes under
// one idempotency key.
type keyed struct {
	key     string
	orders  [2]string
	answers [2]*answer
}

func (k *keyed) request(i int) *request {
	return &request{method: "POST", url: "/v1/orders", body: contractOrder(k.orders[i], 1), headers: jsonBody("Idempotency-Key", k.key)}
}

// An idempotency key stands for one order in the whole cluster: of two orders
// that come under one key through two nodes at once, one is taken; which one is
// known to all nodes, also when a leader has died.
func TestIdempotencyKeys(t *testing.T) {
	f, c := startSecured(t)
	c.stockAt(0)
	f.spread(2)
	var pairs []*keyed
	for i := range 24 {
		k := &keyed{key: fmt.Sprint("key-", i), orders: [2]string{fmt.Sprint("K-", i), fmt.Sprint("L-", i)}}
		if i%3 == 0 { // one order, twice
			k.orders[1] = k.orders[0]
		}
		pairs = append(pairs, k)
		var both errgroup.Group
		for j := range k.orders {
			both.Go(func() (err error) {
				k.answers[j], err = c.try((i+j)%3, k.request(j))
				return err
			})
		}
		if err := both.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	won := [2]int{}
	for _, k := range pairs {
		won[c.judgeKey(k)]++
	}
	if won[0] == 0 || won[1] == 0 {
		t.Logf("the same node has won every time: %v", won)
	}
	victim := f.leader()
	f.kill(victim)
	f.start(victim)
	c.base[victim] = f.nodes[victim].HTTP
	f.caughtUp(victim)
	for i, k := range pairs {
		winner := c.judgeKey(k)
		if a := c.call((i+2)%3, k.request(winner)); a.status != http.StatusOK || string(a.body) != string(k.answers[winner].body) {
			t.Errorf("%s of order %s again = %d: %s; want %s", k.key, k.orders[winner], a.status, a.body, k.answers[winner].body)
		}
		if k.orders[0] == k.orders[1] {
			continue
		}
		if a := c.call((i+1)%3, k.request(1-winner)); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s with another order again = %d: %s; want it refused", k.key, a.status, a.body)
		}
		if a := c.call(i%3, &request{method: "GET", url: "/v1/orders/" + k.orders[1-winner]}); a.status != http.StatusNotFound {
			t.Errorf("order %s, which was refused = %d: %s; want it unknown", k.orders[1-winner], a.status, a.body)
		}
	}
}

// judgeKey wants one of two orders to be taken, or the same answer for the same
// order, and returns which was taken.
func (c *apis) judgeKey(k *keyed) (winner int) {
	c.t.Helper()
	one, other := k.answers[0], k.answers[1]
	if k.orders[0] == k.orders[1] {
		if one.status != http.StatusOK || other.status != http.StatusOK || string(one.body) != string(other.body) {
			c.t.Errorf("%s, one order twice: %d %s and %d %s; want the same answer", k.key, one.status, one.body, other.status, other.body)
		}
		return 0
	}
	if one.status != http.StatusOK {
		winner, one, other = 1, other, one
	}
	if one.status != http.StatusOK || other.status != http.StatusUnprocessableEntity || !strings.Contains(string(other.body), "idempotency_key_reused") {
		c.t.Errorf("%s, two orders: %d %s and %d %s; want one taken", k.key, one.status, one.body, other.status, other.body)
	}
	return winner
}
