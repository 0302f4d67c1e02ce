package bench

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Workload shapes the orders of [Decide].
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

func (s *shop) marshal(body map[string]any, kind, id string) []byte {
	body["id"], body["source"], body["type"], body["time"] = id, "bench", kind, s.began.UTC().Format(time.RFC3339Nano)
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // maps of plain values always marshal
	}
	return b
}

func sku(i int) string      { return fmt.Sprintf("sku-%04d", i) }
func location(i int) string { return fmt.Sprintf("place-%02d", i) }

// reference describes the places.
func (s *shop) reference() [][]byte {
	var all [][]byte
	for i := range s.w.Locations {
		all = append(all, s.marshal(map[string]any{"location": location(i), "kind": "store", "channel": "own_store",
			"lat": 50 + float64(i)/10, "lon": float64(i) / 10, "timezone": "UTC", "takes_returns": true,
			"shipping_cost": "3.00", "handling_cost": "0.20", "pools": []string{"store"}}, "location", location(i)))
	}
	return all
}

// counts sets every item's stock.
func (s *shop) counts() [][]byte {
	var all [][]byte
	for i := range s.w.SKUs {
		for l := range s.w.Locations {
			id := "count-" + sku(i) + "-" + location(l)
			all = append(all, s.marshal(map[string]any{"sku": sku(i), "location": location(l), "pool": "store",
				"quantity": s.w.Units, "document": id}, "stock.counted", id))
		}
	}
	return all
}

// order makes the n-th order: one line of one unit.
func (s *shop) order(n int) []byte {
	h := xxhash.Sum64String(strconv.Itoa(n))
	return s.marshal(map[string]any{"order": orderID(n), "channel": "own_online", "location": location(0), "currency": "EUR",
		"customer":    []map[string]any{{"type": "loyalty", "value": strconv.Itoa(int(h % 100_000))}},
		"destination": map[string]any{"lat": 50 + float64(h%100)/100, "lon": float64(h>>8%100) / 100, "region": "EU"},
		"lines":       []map[string]any{{"line": 1, "sku": sku(int(h>>16) % s.w.SKUs), "quantity": 1, "unit_price": "9.99"}},
	}, "order.placed", orderID(n))
}

func orderID(n int) string { return "o" + strconv.Itoa(n) }

// orderNumber undoes orderID.
func orderNumber(id string) (int, bool) {
	digits, ok := strings.CutPrefix(id, "o")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil
}
