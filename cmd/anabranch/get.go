package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func newGet() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get",
		Short:   "Ask a running node about stock, orders and decisions",
		Example: "  anabranch get stock glasses-7 --near 39.93,116.45",
	}
	cmd.AddCommand(newGetStock(), newGetOrder(), newGetDecision())
	return cmd
}

// addConsistency gives a query the flag --consistency.
func addConsistency(cmd *cobra.Command, query url.Values) func() url.Values {
	var consistency string
	cmd.Flags().StringVar(&consistency, "consistency", "linearizable", "linearizable, or stale: what this node has, which may be behind")
	return func() url.Values {
		query.Set("consistency", consistency)
		return query
	}
}

// stockAnswer is what the table shows of a stock answer.
type stockAnswer struct {
	SKU    string
	Places []struct {
		Location, Pool, Confidence string
		OnHand                     int64 `json:"on_hand"`
		Reserved, Withheld, ATP    int64
		InTransit                  int64 `json:"in_transit"`
		SafetyStock                int64 `json:"safety_stock"`
		Distance                   int64 `json:"distance_m"`
	}
	Unmet []struct {
		Location, Day               string
		Customers, Anonymous, Units int64
	}
}

func newGetStock() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "stock SKU",
		Short:   "Show an SKU's stock at every location and pool",
		Example: "  anabranch get stock glasses-7 --near 39.93,116.45",
		Args:    cobra.ExactArgs(1),
	}
	var near string
	query := addConsistency(cmd, url.Values{})
	cmd.Flags().StringVar(&near, "near", "", "LAT,LON in degrees: nearest place first")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q := query()
		if near != "" {
			q.Set("near", near)
		}
		answer, err := c.get(cmd.Context(), q, "v1", "stock", args[0])
		if err != nil {
			return err
		}
		s, err := decode[stockAnswer](c, answer)
		if err != nil {
			return err
		}
		return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error {
			t := newTable("LOCATION", "POOL", "ON HAND", "RESERVED", "WITHHELD", "IN TRANSIT", "SAFETY", "ATP", "CONFIDENCE", "DISTANCE")
			numbers(t, "ON HAND", "RESERVED", "WITHHELD", "IN TRANSIT", "SAFETY", "ATP", "CONFIDENCE", "DISTANCE")
			for _, p := range s.Places {
				distance := ""
				if p.Distance >= 0 {
					distance = fmt.Sprintf("%.1f km", float64(p.Distance)/1000)
				}
				t.AppendRow(table.Row{p.Location, p.Pool, p.OnHand, p.Reserved, p.Withheld, p.InTransit, p.SafetyStock, p.ATP, p.Confidence, distance})
			}
			if err := render(w, t); err != nil || len(s.Unmet) == 0 {
				return err
			}
			t = newTable("ASKED IN VAIN AT", "DAY", "CUSTOMERS", "ANONYMOUS", "UNITS")
			numbers(t, "CUSTOMERS", "ANONYMOUS", "UNITS")
			for _, u := range s.Unmet {
				t.AppendRow(table.Row{u.Location, u.Day, u.Customers, u.Anonymous, u.Units})
			}
			return render(w, t)
		})
	}
	return cmd
}

// decisionRow is what tables show of a decision.
type decisionRow struct {
	ID, Time, Because string
	Attempt           int64
	Failed            bool
	Policy            struct {
		Name    string
		Version int64
	}
	Cost struct {
		Currency, Total string
	}
	Places []struct {
		Location, Shipping, Distance, Capacity, Handling, Alone, Why string
		Metres, Fills                                                int64
		Chosen                                                       bool
	}
}

type part struct {
	Location, Pool string
	Quantity       int64
}

type decidedLine struct {
	Line                 int64
	SKU, Outcome, Reason string
	Quantity             int64
	Parts                []part
}

func partsText(parts []part) string {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = fmt.Sprintf("%d from %s/%s", p.Quantity, p.Location, p.Pool)
	}
	return strings.Join(texts, ", ")
}

func newGetOrder() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "order ORDER",
		Short:   "Show an order with its attempts",
		Example: "  anabranch get order 536365",
		Args:    cobra.ExactArgs(1),
	}
	query := addConsistency(cmd, url.Values{})
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		answer, err := c.get(cmd.Context(), query(), "v1", "orders", args[0])
		if err != nil {
			return err
		}
		o, err := decode[orderAnswer](c, answer)
		if err != nil {
			return err
		}
		return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error { return orderTables(w, &o) })
	}
	return cmd
}

type orderAnswer struct {
	Order, State, Placed, Currency string
	Attempt                        int64
	Lines                          []struct {
		Line, Quantity                                                      int64
		SKU                                                                 string
		UnitPrice                                                           string `json:"unit_price"`
		Waiting, Backordered, Failed, Shipped, Cancelled, Expired, Returned int64
		Parts                                                               []part
	}
	Decisions []decisionRow
}

func orderTables(w io.Writer, o *orderAnswer) error {
	if _, err := fmt.Fprintf(w, "order %s  %s  attempt %d  placed %s\n\n", o.Order, o.State, o.Attempt, o.Placed); err != nil {
		return err
	}
	lines := newTable("LINE", "SKU", "QUANTITY", "PRICE", "WAITING", "BACKORDERED", "FAILED", "SHIPPED", "CANCELLED", "EXPIRED", "RETURNED", "RESERVED")
	numbers(lines, "LINE", "QUANTITY", "PRICE", "WAITING", "BACKORDERED", "FAILED", "SHIPPED", "CANCELLED", "EXPIRED", "RETURNED")
	for _, l := range o.Lines {
		lines.AppendRow(table.Row{l.Line, l.SKU, l.Quantity, l.UnitPrice, l.Waiting, l.Backordered, l.Failed, l.Shipped, l.Cancelled, l.Expired, l.Returned, partsText(l.Parts)})
	}
	if err := render(w, lines); err != nil || len(o.Decisions) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	decisions := newTable("DECISION", "ATTEMPT", "TIME", "COST", "POLICY", "BECAUSE")
	for _, d := range o.Decisions {
		decisions.AppendRow(table.Row{d.ID, d.Attempt, d.Time, d.Cost.Total + " " + d.Cost.Currency,
			fmt.Sprintf("%s v%d", d.Policy.Name, d.Policy.Version), d.Because})
	}
	return render(w, decisions)
}

func newGetDecision() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "decision ID",
		Short:   "Show a decision: what was chosen, what it cost, and why not the others",
		Example: "  anabranch get decision d-00a1f4c2… -o yaml",
		Args:    cobra.ExactArgs(1),
	}
	query := addConsistency(cmd, url.Values{})
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		answer, err := c.get(cmd.Context(), query(), "v1", "decisions", args[0])
		if err != nil {
			return err
		}
		return showDecision(cmd.OutOrStdout(), c, out, answer)
	}
	return cmd
}

func showDecision(w io.Writer, c *client, out *format, answer []byte) error {
	d, err := decode[struct {
		Order    string
		Decision decisionRow
		Lines    []decidedLine
	}](c, answer)
	if err != nil {
		return err
	}
	return out.show(w, answer, func(w io.Writer) error {
		row := d.Decision
		if _, err := fmt.Fprintf(w, "decision %s\norder %s, attempt %d, %s\nbecause %s\ncost %s %s, policy %s version %d\n\n", row.ID, d.Order,
			row.Attempt, row.Time, row.Because, row.Cost.Total, row.Cost.Currency, row.Policy.Name, row.Policy.Version); err != nil {
			return err
		}
		lines := newTable("LINE", "SKU", "QUANTITY", "OUTCOME", "PARTS", "REASON")
		numbers(lines, "LINE", "QUANTITY")
		for _, l := range d.Lines {
			lines.AppendRow(table.Row{l.Line, l.SKU, l.Quantity, l.Outcome, partsText(l.Parts), l.Reason})
		}
		if err := render(w, lines); err != nil || len(row.Places) == 0 {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		places := newTable("PLACE", "CHOSEN", "FILLS", "ALONE", "SHIPPING", "DISTANCE", "CAPACITY", "HANDLING", "WHY NOT")
		numbers(places, "FILLS", "ALONE", "SHIPPING", "DISTANCE", "CAPACITY", "HANDLING")
		for _, p := range row.Places {
			chosen := ""
			if p.Chosen {
				chosen = "yes"
			}
			places.AppendRow(table.Row{p.Location, chosen, p.Fills, p.Alone, p.Shipping, p.Distance, p.Capacity, p.Handling, p.Why})
		}
		return render(w, places)
	})
}
