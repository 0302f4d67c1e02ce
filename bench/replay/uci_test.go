package replay

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch.dev/connectors"
)

// DataDir is where the data sets are, or skips the test.
func dataDir(t testing.TB, set string) string {
	t.Helper()
	dir := os.Getenv("ANABRANCH_DATA")
	if dir == "" {
		dir = "../../../shared/data"
	}
	path := filepath.Join(dir, set)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("data set %s is missing: set ANABRANCH_DATA", set)
		}
		t.Skipf("skipped: data set %s is not in %s (set ANABRANCH_DATA)", set, dir)
	}
	return path
}

func TestUCIAccountsForEveryRow(t *testing.T) {
	s, err := UCI(dataDir(t, "uci-online-retail"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := s.Totals
	want := Totals{Rows: 431_673, Invoices: 21_423, Orders: 16_371, BadRows: 2_195 + 3, Cancelled: got.Cancelled, Returned: got.Returned,
		NoOrder: got.NoOrder, Amount: 7_852_323_674_000}
	if got != want {
		t.Errorf("totals = %+v; want %+v", got, want)
	}
	if n := got.Cancelled + got.Returned + got.NoOrder; n != 7_852 {
		t.Errorf("cancellation lines = %d; want 7852", n)
	}
	t.Logf("%d events; cancellation lines: %d cancel, %d return, %d have no order", len(s.Events), got.Cancelled, got.Returned, got.NoOrder)
	for i := 1; i < len(s.Events); i++ {
		if s.Events[i].Time.Before(s.Events[i-1].Time) {
			t.Fatalf("event %d is out of order", i)
		}
	}
}

const sample = `InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,A,,3,2011-01-01 10:00:00,1.25,7.0,France
1,B,,2,2011-01-01 10:00:00,0,7.0,France
1,A,,4,2011-01-01 10:01:00,1.25,7.0,France
C2,A,,-5,2011-01-01 11:00:00,1.25,7.0,France
C3,A,,-2,2011-01-03 11:00:00,1.25,7.0,France
C4,A,,-1,2011-01-03 11:00:00,1.25,7.0,France
A5,X,,1,2011-01-04 11:00:00,-9.5,,France
`

func script(t *testing.T, opts Options) *Script {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(path, []byte(sample), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := UCI(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestInvoicesBecomeEvents(t *testing.T) {
	s := script(t, Options{})
	var got []string
	for _, e := range s.Events {
		if e.Topic == "sales" {
			got = append(got, string(e.Value))
		}
	}
	want := []string{
		`"id":"1/2",`, // the bad row travels alone, before its order of the same minute
		`"lines":[{"line":1,"quantity":3,"sku":"A","unit_price":"1.25"},{"line":3,"quantity":4,"sku":"A","unit_price":"1.25"}],"location":"london","order":"1"}`,
		`"type":"order.cancelled","time":"2011-01-01T11:00:00Z","currency":"GBP","document":"C2/1","lines":[{"line":1,"quantity":3,"sku":"A","unit_price":"1.25"},{"line":3,"quantity":2`,
		`"type":"order.shipped","time":"2011-01-02T10:00:00Z"`,
		`"type":"return.received","time":"2011-01-03T11:00:00Z","channel":"own_online","currency":"GBP","document":"C3/1","lines":[{"line":3,"quantity":2`,
		`"document":"C4/1","lines":[{"line":1,"quantity":1,"sku":"A","unit_price":"1.25"}],"location":"london"}`,
		`"type":"account.adjusted"`,
	}
	if len(got) != len(want) {
		t.Fatalf("sales events = %d; want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("event %d = %s; want it to hold %s", i, got[i], want[i])
		}
	}
	if again := script(t, Options{}); !bytes.Equal(again.Events[3].Value, s.Events[3].Value) {
		t.Errorf("a second run differs: %s, %s", again.Events[3].Value, s.Events[3].Value)
	}
}

// paper is a Writer that keeps what is written, per partition.
type paper map[string][]string

func (p paper) Produce(_ context.Context, r connectors.OutRecord, partition int32) error {
	key := r.Topic + "/" + string(rune('0'+partition))
	p[key] = append(p[key], string(r.Value))
	return nil
}

func (p paper) Flush(context.Context) error { return nil }

func TestMarksReachEveryPartition(t *testing.T) {
	w := paper{}
	to := Target{Topics: map[string]string{"sales": "retail.sales", "stock": "retail.stock", "reference": "retail.reference"},
		Partitions: map[string]int32{"sales": 2, "stock": 1, "reference": 1}, Marks: true}
	records, err := Load(t.Context(), w, script(t, Options{To: time.Date(2011, 1, 3, 0, 0, 0, 0, time.UTC)}), to, Pace{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for _, values := range w {
		written += len(values)
	}
	if records != int64(written) {
		t.Errorf("Load() = %d records; want the %d written", records, written)
	}
	for _, key := range []string{"retail.sales/0", "retail.sales/1", "retail.stock/0", "retail.reference/0"} {
		marks := 0
		for _, v := range w[key] {
			if strings.Contains(v, "replay.mark") {
				marks++
			}
		}
		if last := w[key][len(w[key])-1]; marks != 4 || !strings.Contains(last, "2011-01-02T10:00:01Z") {
			t.Errorf("%s: %d marks, last %s; want one for each of 3 days and one at the end", key, marks, last)
		}
	}
}
