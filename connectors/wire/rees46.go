package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"slices"
	"strings"
)

// rees46Columns are those of the rows in which REES46 publishes what visitors of
// shops did.
var rees46Columns = []string{
	"event_time", "event_type", "product_id", "category_id", "category_code", "brand", "price", "user_id", "user_session",
}

// Columns of a row.
const (
	rees46Time = iota
	rees46Type
	rees46Product
	rees46CategoryID
	rees46Category
	rees46Brand
	rees46Price
	rees46User
	rees46Session
)

var rees46Events = map[string]string{
	"view":             "product.viewed",
	"cart":             "cart.added",
	"remove_from_cart": "cart.removed",
	"purchase":         "sale.completed",
}

// rees46Location is where purchases of such rows take place: a web shop that
// nobody needs to describe.
const rees46Location = "rees46"

// isCSV says whether a content type promises one row of text.
func isCSV(contentType string) bool { return contentType == "text/csv" }

// looksLikeRow says whether a record without a content type is a row and no
// JSON: it begins with the year, and JSON's numbers have no dash after four digits.
func looksLikeRow(value []byte) bool {
	return len(value) > 5 && value[0] >= '1' && value[0] <= '9' && value[4] == '-' && bytes.Count(value, []byte{','}) >= len(rees46Columns)-1
}

// rees46 turns one row into a document of ours, or returns nil if it is none.
// Prices are in US dollars. The row's hash is its id: rows have none.
func rees46(row []byte) []byte {
	r := csv.NewReader(bytes.NewReader(row))
	r.FieldsPerRecord, r.LazyQuotes = len(rees46Columns), false
	fields, err := r.Read()
	if err != nil || int(r.InputOffset()) != len(row) || slices.Equal(fields, rees46Columns) {
		return nil
	}
	at, ok := strings.CutSuffix(fields[rees46Time], " UTC")
	if !ok {
		return nil
	}
	sum := sha256.Sum256(row)
	id := hex.EncodeToString(sum[:16])
	name := fields[rees46Type]
	if own := rees46Events[name]; own != "" {
		name = own
	}
	t := translation{body: make([]byte, 0, 2*len(row)+256)}
	t.object("")
	t.text("type", name)
	t.text("id", id)
	t.text("source", "rees46")
	t.text("time", strings.Replace(at, " ", "T", 1)+"Z")
	t.text("channel", "own_online")
	t.text("currency", "USD")
	if name == "sale.completed" {
		t.rees46Sale(id, fields)
	} else {
		t.rees46Click(fields)
	}
	t.list("customer")
	t.identify("account", fields[rees46User])
	if name == "sale.completed" {
		t.identify("session", fields[rees46Session])
	}
	t.end(']')
	t.end('}')
	return t.body
}

func (t *translation) rees46Click(fields []string) {
	t.text("session", fields[rees46Session])
	t.text("sku", fields[rees46Product])
	category := fields[rees46Category]
	if category == "" {
		category = fields[rees46CategoryID]
	}
	t.text("category", category)
	t.text("brand", fields[rees46Brand])
	t.text("price", fields[rees46Price])
	t.number("quantity", "1")
}

// rees46Sale makes a receipt of its own of each purchase: rows don't say which
// belong together.
func (t *translation) rees46Sale(id string, fields []string) {
	t.text("receipt", "rees46-"+id)
	t.text("location", rees46Location)
	t.list("lines")
	t.object("")
	t.number("line", "1")
	t.text("sku", fields[rees46Product])
	t.number("quantity", "1")
	t.text("unit_price", fields[rees46Price])
	t.end('}')
	t.end(']')
}
