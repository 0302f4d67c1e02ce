package replay

import "time"

// order makes an order (or a sale) of rows.
func (u *uci) order(order, id string, at time.Time, rows []*row) error {
	body := map[string]any{"channel": "own_online", "location": "london", "currency": "GBP", "lines": lines(rows)}
	if c := rows[0].customer; c != "" {
		body["customer"] = []map[string]any{{"type": "loyalty", "value": c}}
	}
	if u.opts.Sales {
		body["receipt"] = order
		return u.script.add("sales", order, "sale.completed", id, at, body)
	}
	body["order"] = order
	lat, lon := u.destination(rows[0])
	body["destination"] = map[string]any{"lat": lat, "lon": lon, "region": rows[0].country}
	return u.script.add("sales", order, "order.placed", id, at, body)
}

func lines(rows []*row) []map[string]any {
	all := make([]map[string]any, len(rows))
	for i, r := range rows {
		all[i] = map[string]any{"line": r.line, "sku": r.sku, "quantity": r.quantity, "unit_price": r.price}
	}
	return all
}

// destination is a customer's fixed town, or the middle of the country.
func (u *uci) destination(r *row) (lat, lon float64) {
	if at, ok := countries[r.country]; ok {
		return at[0], at[1]
	}
	home := homes[hash(r.customer)%uint32(len(homes))]
	return home[0], home[1]
}

// cancellation turns a line of a cancellation into what it means for the newest
// earlier order that still covers it.
func (u *uci) cancellation(r *row) error {
	quantity := -r.quantity
	body := map[string]any{"document": rowID(r), "currency": "GBP"}
	v, parts := u.cover(r, quantity)
	if v == nil || u.opts.Sales {
		u.script.Totals.NoOrder++
		body["location"], body["channel"] = "london", "own_online"
		body["lines"] = []map[string]any{{"line": 1, "sku": r.sku, "quantity": quantity, "unit_price": r.price}}
		return u.script.add("sales", rowID(r), "return.received", rowID(r), r.at, body)
	}
	body["order"], body["lines"] = v.id, parts
	if r.at.Before(v.at.Add(shipsAfter)) {
		u.script.Totals.Cancelled++
		v.toShip -= quantity
		return u.script.add("sales", v.id, "order.cancelled", rowID(r), r.at, body)
	}
	u.script.Totals.Returned++
	body["location"], body["channel"] = "london", "own_online"
	return u.script.add("sales", v.id, "return.received", rowID(r), r.at, body)
}

// cover finds the newest earlier order of the customer with enough of the SKU
// left and takes the quantity out of its lines.
func (u *uci) cover(r *row, quantity int64) (*invoice, []map[string]any) {
	orders := u.book[bookKey(r)]
	for i := len(orders) - 1; i >= 0; i-- {
		v := orders[i]
		var left int64
		for j, line := range v.rows {
			if line.sku == r.sku {
				left += v.left[j]
			}
		}
		if left >= quantity {
			return v, take(v, r, quantity)
		}
	}
	return nil, nil
}

func take(v *invoice, r *row, quantity int64) []map[string]any {
	var parts []map[string]any
	for j, line := range v.rows {
		part := min(quantity, v.left[j])
		if line.sku != r.sku || part == 0 {
			continue
		}
		v.left[j] -= part
		quantity -= part
		parts = append(parts, map[string]any{"line": line.line, "sku": r.sku, "quantity": part, "unit_price": r.price})
	}
	return parts
}
