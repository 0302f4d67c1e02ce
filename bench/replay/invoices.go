package replay

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"time"
)

// Options shape a replay of invoices.
type Options struct {
	Sales bool      // invoices become sale.completed instead of order.placed
	Stock float64   // opening stock as a multiple of the demand; 0: 1.05
	From  time.Time // leave earlier events out
	To    time.Time // leave rows and events of this time and later out
}

// shipsAfter is how long after it was placed an order is shipped.
const shipsAfter = 24 * time.Hour

// opening is how long before the first row the reference data (and an hour
// later the opening counts) are dated.
const opening = 24 * time.Hour

// invoice is one order of the data set while cancellations eat into it.
type invoice struct {
	id   string
	at   time.Time
	rows []*row
	left []int64 // per row: neither cancelled nor returned
	// toShip is the quantity not cancelled before the shipment.
	toShip int64
}

// uci turns rows into events.
type uci struct {
	script   *Script
	opts     Options
	invoices []*invoice
	byID     map[string]*invoice
	book     map[string][]*invoice // (sku, customer) → orders, oldest first
}

// UCI reads the Online Retail data set as a script. Invoices become orders,
// shipped a day later; a line of a cancellation becomes a cancellation (when not
// shipped) or return of the newest earlier order of the same customer that still
// covers its quantity, else a return without order. Rows that make no sense
// travel as events of their own.
func UCI(path string, opts Options) (*Script, error) {
	rows, err := readUCI(path)
	if err != nil {
		return nil, err
	}
	if opts.Stock == 0 {
		opts.Stock = 1.05
	}
	if !opts.To.IsZero() {
		rows = slices.DeleteFunc(rows, func(r row) bool { return !r.at.Before(opts.To) })
	}
	u := &uci{script: &Script{Name: "uci-online-retail"}, opts: opts, byID: map[string]*invoice{}, book: map[string][]*invoice{}}
	for _, make := range []func([]row) error{u.reference, u.rows, u.orders} {
		if err := make(rows); err != nil {
			return nil, err
		}
	}
	u.script.sort()
	u.script.between(opts.From, opts.To)
	return u.script, nil
}

// reference makes locations, products and opening counts.
func (u *uci) reference(rows []row) error {
	if len(rows) == 0 {
		return fmt.Errorf("the data set is empty")
	}
	at := rows[0].at.Add(-opening)
	for _, p := range places {
		if err := u.script.add("reference", "location/"+p.id, "location", "location-"+p.id, at, map[string]any{
			"location": p.id, "kind": p.kind, "channel": p.channel, "lat": p.lat, "lon": p.lon, "region": p.region, "timezone": p.zone,
			"takes_returns": true, "shipping_cost": p.shipping, "handling_cost": p.handling, "pools": []string{"store"}}); err != nil {
			return err
		}
	}
	demand, price := map[string]int64{}, map[string]string{}
	var skus []string
	for i := range rows {
		r := &rows[i]
		if _, known := demand[r.sku]; !known {
			skus = append(skus, r.sku)
			demand[r.sku] = 0
		}
		if r.invoice[0] != 'C' && r.invoice[0] != 'A' && !r.bad() {
			demand[r.sku] += r.quantity
			price[r.sku] = r.price
		}
	}
	slices.Sort(skus)
	for _, sku := range skus {
		body := map[string]any{"sku": sku, "currency": "GBP", "return_days": 400}
		if price[sku] != "" {
			body["price"] = price[sku]
		}
		if err := u.script.add("reference", "product/"+sku, "product", "product-"+sku, at, body); err != nil {
			return err
		}
		if err := u.counts(sku, int64(math.Ceil(float64(demand[sku])*u.opts.Stock)), at.Add(time.Hour)); err != nil {
			return err
		}
	}
	return nil
}

// counts spreads an SKU's opening stock evenly; the rest goes to places that
// differ by SKU.
func (u *uci) counts(sku string, total int64, at time.Time) error {
	n := int64(len(places))
	first := int64(hash(sku) % uint32(n))
	for i := range n {
		p := places[(first+i)%n]
		quantity := total / n
		if i < total%n {
			quantity++
		}
		if err := u.script.add("stock", sku, "stock.counted", "opening-"+sku+"-"+p.id, at, map[string]any{
			"sku": sku, "location": p.id, "pool": "store", "quantity": quantity, "document": "opening-" + p.id}); err != nil {
			return err
		}
	}
	return nil
}

// rows walks the file in order: it collects invoices and turns everything else
// into events.
func (u *uci) rows(rows []row) error {
	s := u.script
	seen := map[string]bool{}
	for i := range rows {
		r := &rows[i]
		s.Totals.Rows++
		s.Totals.Amount += r.quantity * r.micros
		if !seen[r.invoice] {
			seen[r.invoice] = true
			s.Totals.Invoices++
		}
		var err error
		switch {
		case r.invoice[0] == 'A':
			s.Totals.BadRows++
			err = s.add("sales", r.invoice, "account.adjusted", rowID(r), r.at, map[string]any{
				"order": r.invoice, "currency": "GBP", "lines": lines([]*row{r})})
		case r.invoice[0] == 'C':
			err = u.cancellation(r)
		case r.bad():
			s.Totals.BadRows++
			err = u.order(fmt.Sprintf("%s/%d", r.invoice, r.line), rowID(r), r.at, []*row{r})
		default:
			u.collect(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func rowID(r *row) string { return r.invoice + "/" + strconv.Itoa(r.line) }

func bookKey(r *row) string { return r.sku + "\x00" + r.customer }

// collect adds a row to its order.
func (u *uci) collect(r *row) {
	v := u.byID[r.invoice]
	if v == nil {
		v = &invoice{id: r.invoice, at: r.at}
		u.byID[r.invoice] = v
		u.invoices = append(u.invoices, v)
		u.script.Totals.Orders++
	}
	v.rows, v.left = append(v.rows, r), append(v.left, r.quantity)
	v.toShip += r.quantity
	if b := u.book[bookKey(r)]; len(b) == 0 || b[len(b)-1] != v {
		u.book[bookKey(r)] = append(b, v)
	}
}

// orders makes an order, and a day later its shipment, of each invoice.
func (u *uci) orders([]row) error {
	for _, v := range u.invoices {
		if err := u.order(v.id, v.id, v.at, v.rows); err != nil {
			return err
		}
		if u.opts.Sales || v.toShip == 0 {
			continue
		}
		at := v.at.Add(shipsAfter)
		if err := u.script.add("sales", v.id, "order.shipped", "ship-"+v.id, at,
			map[string]any{"order": v.id, "document": "ship-" + v.id}); err != nil {
			return err
		}
	}
	return nil
}

func hash(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}
