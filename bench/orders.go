package bench

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Workload shapes the orders of a run.
type Workload struct {
	SKUs      int   // distinct items; 1 makes one hot
	Locations int   // places each item is kept at
	Units     int64 // on hand of each item at each place
}

// shop makes the events of a workload as record bytes.
type shop struct {
	w     Workload
	began time.Time
}

// input is a record for an input topic.
type input struct {
	key   string
	value []byte
}

func (s *shop) marshal(body map[string]any, kind, id string) []byte {
	body["id"], body["source"], body["type"], body["time"] = id, "bench", kind, s.time()
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // maps of plain values always marshal
	}
	return b
}

func (s *shop) time() string { return s.began.UTC().Format(time.RFC3339Nano) }

func sku(i int) string      { return fmt.Sprintf("sku-%04d", i) }
func location(i int) string { return fmt.Sprintf("place-%02d", i) }

// reference describes the places.
func (s *shop) reference() []input {
	var all []input
	for i := range s.w.Locations {
		all = append(all, input{"location/" + location(i), s.marshal(map[string]any{"location": location(i), "kind": "store", "channel": "own_store",
			"lat": 50 + float64(i)/10, "lon": float64(i) / 10, "timezone": "UTC", "takes_returns": true,
			"shipping_cost": "3.00", "handling_cost": "0.20", "pools": []string{"store"}}, "location", location(i))})
	}
	return all
}

// counts sets every item's stock.
func (s *shop) counts() []input {
	var all []input
	for i := range s.w.SKUs {
		for l := range s.w.Locations {
			id := "count-" + sku(i) + "-" + location(l)
			all = append(all, input{sku(i), s.marshal(map[string]any{"sku": sku(i), "location": location(l), "pool": "store",
				"quantity": s.w.Units, "document": id}, "stock.counted", id)})
		}
	}
	return all
}

// order makes the n-th order: one line of one unit. It is cheap enough to be
// made while the clock runs.
func (s *shop) order(n int) []byte {
	h := xxhash.Sum64String(strconv.Itoa(n))
	return fmt.Appendf(make([]byte, 0, 512), `{"id":"%[1]s","source":"bench","type":"order.placed","time":"%[2]s",`+
		`"order":"%[1]s","channel":"own_online","location":"%[3]s","currency":"EUR","customer":[{"type":"loyalty","value":"%[4]d"}],`+
		`"destination":{"lat":50.%02[5]d,"lon":0.%02[6]d,"region":"EU"},"lines":[{"line":1,"sku":"%[7]s","quantity":1,"unit_price":"9.99"}]}`,
		orderID(n), s.time(), location(0), h%100_000, h%100, h>>8%100, sku(int(h>>16)%s.w.SKUs))
}

// cancellation takes all of the n-th order back.
func (s *shop) cancellation(n int) []byte {
	return fmt.Appendf(nil, `{"id":"cancel-%[1]s","source":"bench","type":"order.cancelled","time":"%[2]s","order":"%[1]s"}`, orderID(n), s.time())
}

func orderID(n int) string { return "o" + strconv.Itoa(n) }

// orderNumber undoes orderID.
func orderNumber(id string) (int, bool) {
	digits, ok := strings.CutPrefix(id, "o")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n >= 0
}
