package replay

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// row is one line of the Online Retail data set: a UK gift wholesaler's
// invoices, see UCI Machine Learning Repository, data set 352.
type row struct {
	number   int // in the file, from 1
	invoice  string
	line     int // position in its invoice, from 1
	sku      string
	quantity int64
	at       time.Time
	price    string
	micros   int64
	customer string
	country  string
}

// bad rows make no sense in an order: they travel as events of their own.
func (r *row) bad() bool { return r.quantity <= 0 || r.micros <= 0 }

// readUCI reads online_retail.csv.gz (or .csv), in file order.
func readUCI(path string) ([]row, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "online_retail.csv.gz")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	rows, err := parseUCI(in)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return rows, nil
}

func parseUCI(in io.Reader) ([]row, error) {
	lines := csv.NewReader(in)
	lines.ReuseRecord = true
	lines.FieldsPerRecord = 8
	if head, err := lines.Read(); err != nil || head[0] != "InvoiceNo" {
		return nil, fmt.Errorf("1: want the header InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country")
	}
	var rows []row
	position := map[string]int{}
	for n := 1; ; n++ {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%d: %w", n+1, err)
		}
		r := row{number: n, invoice: strings.Clone(fields[0]), sku: strings.Clone(strings.TrimSpace(fields[1])),
			price: strings.Clone(fields[5]), customer: strings.TrimSuffix(strings.Clone(fields[6]), ".0"), country: strings.Clone(fields[7])}
		if r.quantity, err = strconv.ParseInt(fields[3], 10, 64); err != nil {
			return nil, fmt.Errorf("%d: quantity: %w", n+1, err)
		}
		if r.at, err = time.Parse(time.DateTime, fields[4]); err != nil {
			return nil, fmt.Errorf("%d: date: %w", n+1, err)
		}
		if r.micros, err = micros(r.price); err != nil {
			return nil, fmt.Errorf("%d: price: %w", n+1, err)
		}
		position[r.invoice]++
		r.line = position[r.invoice]
		rows = append(rows, r)
	}
}
