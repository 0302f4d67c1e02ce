package acceptance

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
)

// maker makes requests for operations: what their description asks for, its
// edges, and what nobody should send.
type maker struct {
	spec  *spec
	known known
	dice  *rand.Rand
	made  int
}

// strange are values for parameters of any kind.
var strange = []string{"", "0", "-1", "1", "99999999999999999999", "1e309", "NaN", "null", "true", "x", " ", "ä€😀", "a b", "a/b", "../../etc/passwd",
	"%", "%00", "\x00", "\xff\xfe", "a\r\nX-Evil: 1", "'; --", "{sku}", "*", "?", "#", "d-0-0-0", "d-1", strings.Repeat("x", 600), strings.Repeat("é", 5000)}

// strangeQuery are query strings as a whole.
var strangeQuery = []string{"consistency=stale&consistency=linearizable", "=&&=", "%zz=1", "near=0,0&near=1,1", "limit=1&limit=x", strings.Repeat("a=1&", 500)}

// strangeBodies are bodies for any operation that takes one.
var strangeBodies = []string{"", " ", "null", "[]", "{}", "0", `"x"`, "{", `{"type":`, "{}{}", `{"type":1}`, `{"type":"order.placed"}`, `{"id":"x","type":"no.such.type"}`,
	`{"group":-1}`, `{"group":99}`, `{"group":0,"to":"n99"}`, `{"group":"0"}`, `{"group":0,"index":1,"message":0}`, `{"group":0,"index":0}`, `{"group":0,"index":99999999,"message":99}`,
	`{"group":1e400}`, `{"a":NaN}`, "\xff\xfe", "{\"id\":\"\x00\"}", `{"id":"\ud800"}`, strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 10_000), `{"id":"` + strings.Repeat("x", 2<<20) + `"}`}

// eventBodies are events that can be taken, for the operation that they suit.
var eventBodies = map[string][]string{
	"submit-event": {
		`{"id":"f-%d","type":"stock.received","sku":"glasses-7","location":"riverside","quantity":1,"document":"f-%d"}`,
		`{"id":"f-%d","source":"fuzz","type":"stock.adjusted","time":"2026-11-20T07:00:00Z","sku":"s-%d","location":"riverside","quantity":-1}`,
		`{"id":"f-%d","type":"order.cancelled","order":"F-%d"}`,
		`{"id":"f-%d","type":"sale.completed","receipt":"R-%d","channel":"own_store","location":"riverside","currency":"CNY","lines":[{"line":1,"sku":"glasses-7","quantity":1,"unit_price":"1.00"}]}`,
	},
	"place-order": {
		`{"id":"%d","order":"F-%d","channel":"own_online","location":"riverside","currency":"CNY","lines":[{"line":1,"sku":"glasses-7","quantity":1,"unit_price":"899.00"}]}`,
		`{"id":"%d","order":"F-%d","channel":"own_online","location":"riverside","currency":"CNY","lines":[{"line":1,"sku":"nobody-knows","quantity":1000000,"unit_price":"0.000001"},{"line":2,"sku":"glasses-7","quantity":3,"unit_price":"1"}]}`,
		`{"id":"%d","order":"F-%d","channel":"marketplace","location":"riverside","currency":"CNY","destination":{"lat":-90,"lon":180},"customer":[{"type":"phone","value":"000-0000"}],"promised_by":"1970-01-01T00:00:01Z","backorder":true,"lines":[{"line":1,"sku":"glasses-7","quantity":1,"unit_price":"899.00"}]}`,
		`{"id":"%d","order":"A-1","channel":"own_online","location":"riverside","currency":"CNY","lines":[{"line":1,"sku":"glasses-7","quantity":99,"unit_price":"1.%d"}]}`, // another one of this number is there
	},
	"publish-policy": {
		`{"id":"p-%d","name":"allocation","comment":"%d","allocation":{"shipping_per_parcel":"3.00","split_per_parcel":"2.00","order_timeout_us":30000000,"reservation_ttl_us":1209600000000,"returns_to":"on_hand","partial_orders":true}}`,
		`{"id":"p-%d","name":"nothing-%d"}`,
	},
	"transfer":     {`{"group":0}`, `{"group":0,"to":"n1"}`, `{"group":0,"to":"n3"}`},
	"skip":         {`{"group":0,"index":18446744073709551615,"message":18446744073709551615}`},
	"init-cluster": {""},
	"add-node":     {`{"node":"n9","peer":"127.0.0.1:1"}`, `{"node":"n2","peer":"x"}`, `{"node":"n9","peer":"host without port"}`},
	"drain-node":   {`{"node":"n1","undo":true}`, `{"node":"n9"}`},
	"move-shard":   {`{"shard":0,"group":0}`, `{"shard":3,"group":1}`, `{"shard":3,"group":0}`, `{"shard":9999,"group":0}`},
	"remove-node":  {`{"node":"n1"}`, `{"node":"n1","force":true}`, `{"node":"n9"}`},
}

// requests are all requests for an operation.
func (m *maker) requests(op *operation) (list []*request) {
	good := m.good(op)
	list = append(list, good)
	for _, value := range strange {
		if strings.Contains(op.path, "{") && (value != "" || strings.HasSuffix(op.path, "}")) { // else it is another path
			list = append(list, m.with(good, func(r *request) { r.url = m.path(op, value) }))
		}
		for _, p := range op.Parameters {
			switch p.In {
			case "query":
				list = append(list, m.with(good, func(r *request) { r.url += "?" + url.Values{p.Name: {value}}.Encode() }))
			case "header":
				if value = strings.Map(printable, value); value != "" {
					list = append(list, m.with(good, func(r *request) { r.headers[p.Name] = value }))
				}
				list = append(list, m.with(good, func(r *request) { delete(r.headers, p.Name) }))
			}
		}
	}
	for _, p := range op.Parameters {
		for _, one := range p.Schema.Enum {
			list = append(list, m.with(good, func(r *request) { r.url += "?" + url.Values{p.Name: {fmt.Sprint(one)}}.Encode() }))
		}
		if p.Name == "near" {
			for _, near := range []string{"39.93,116.45", "90,-180", "91,0", "0", "nan,nan", "1,2,3", ","} {
				list = append(list, m.with(good, func(r *request) { r.url += "?near=" + near }))
			}
		}
	}
	for _, query := range strangeQuery {
		list = append(list, m.with(good, func(r *request) { r.url += "?" + query }))
	}
	if op.method == "POST" {
		list = append(list, m.posts(op, good)...)
	}
	return list
}

// posts are requests with all kinds of bodies.
func (m *maker) posts(op *operation, good *request) (list []*request) {
	bodies := slices.Clone(strangeBodies)
	for _, pattern := range eventBodies[op.OperationID] {
		for range 3 {
			bodies = append(bodies, m.body(pattern))
		}
		for range 60 {
			bodies = append(bodies, m.spoil(m.body(pattern)))
		}
	}
	for i, body := range bodies {
		list = append(list, m.with(good, func(r *request) {
			r.body = body
			if op.OperationID == "place-order" && i%4 > 0 { // else a key that was used with another body
				r.headers["Idempotency-Key"] = fmt.Sprint("fuzz-", m.made, "-", i)
			}
		}))
	}
	for _, media := range []string{"", "text/plain", "application/xml", "application/json; charset=utf-16", "application/msgpack", "\t", "multipart/form-data; boundary=x"} {
		list = append(list, m.with(good, func(r *request) { r.headers["Content-Type"] = media }))
	}
	return append(list, m.with(good, func(r *request) { r.headers["Content-Encoding"] = "gzip" }),
		m.with(good, func(r *request) { r.headers["Accept"] = "application/xml" }))
}

// good is a request that the operation's description asks for.
func (m *maker) good(op *operation) *request {
	r := &request{method: op.method, url: m.path(op, m.known[op.path]), headers: map[string]string{}}
	if op.method != "POST" {
		return r
	}
	r.headers["Content-Type"] = "application/json"
	if patterns := eventBodies[op.OperationID]; len(patterns) > 0 {
		r.body = m.body(patterns[0])
	}
	for _, p := range op.Parameters {
		if p.In == "header" {
			r.headers[p.Name] = fmt.Sprint("good-", m.made)
		}
	}
	return r
}

// body fills a pattern with a number that was not used before.
func (m *maker) body(pattern string) string {
	m.made++
	return strings.ReplaceAll(pattern, "%d", fmt.Sprint(m.made))
}

// spoil changes a few bytes or values of a body.
func (m *maker) spoil(body string) string {
	if body == "" {
		return "x"
	}
	switch m.dice.IntN(3) {
	case 0: // one byte
		b := []byte(body)
		b[m.dice.IntN(len(b))] = byte(m.dice.IntN(256))
		return string(b)
	case 1: // a piece less
		from := m.dice.IntN(len(body))
		return body[:from] + body[from+m.dice.IntN(len(body)-from):]
	}
	parts := strings.SplitAfter(body, ":") // another value
	i := m.dice.IntN(len(parts))
	values := []string{"null", "-1", "1e3", "0.0000001", `""`, "true", "[]", "{}", "9223372036854775808", `"\u0000"`, `"` + strings.Repeat("y", 1500) + `"`, "[[[[]]]]"}
	if end := strings.IndexAny(parts[i], ",}]"); end >= 0 {
		parts[i] = values[m.dice.IntN(len(values))] + parts[i][end:]
	}
	return strings.Join(parts, "")
}

// path puts a value into an operation's path.
func (m *maker) path(op *operation, value string) string {
	before, rest, ok := strings.Cut(op.path, "{")
	if !ok {
		return op.path
	}
	_, after, _ := strings.Cut(rest, "}")
	return before + url.PathEscape(value) + after
}

// with is a changed copy.
func (m *maker) with(r *request, change func(*request)) *request {
	other := *r
	other.headers = maps.Clone(r.headers)
	change(&other)
	return &other
}

// printable keeps what a header may hold.
func printable(r rune) rune {
	if r < 0x20 || r == 0x7f {
		return -1
	}
	return r
}
