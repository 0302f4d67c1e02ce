package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

func newDeadLetters() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dead-letters",
		Short:   "What could not be applied, and trying it again",
		Example: "  anabranch dead-letters list --code location_unknown",
	}
	cmd.AddCommand(newDeadLettersList(), newDeadLettersShow(), newDeadLettersRedrive())
	return cmd
}

// deadLetter is what tables show of a dead letter.
type deadLetter struct {
	ID, Code, Stage, Type, Key string
	LogTime                    string `json:"log_time"`
	Hash                       string
	Cause                      struct {
		Topic             string
		Partition, Offset int64
		Source, ID, Time  string
	}
	Fields []struct{ Name, Value string }
}

// origin says where the event came from.
func (d *deadLetter) origin() string {
	if d.Cause.Topic == "" {
		return "api"
	}
	return fmt.Sprintf("%s/%d@%d", d.Cause.Topic, d.Cause.Partition, d.Cause.Offset)
}

func newDeadLettersList() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List dead letters, oldest first",
		Example: "  anabranch dead-letters list --type order.placed --limit 20",
		Args:    cobra.NoArgs,
	}
	var code, eventType, after string
	var limit int
	cmd.Flags().StringVar(&code, "code", "", "only this reason")
	cmd.Flags().StringVar(&eventType, "type", "", "only this event type")
	cmd.Flags().StringVar(&after, "after", "", "go on after this id")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so many, up to 1000")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{"limit": {strconv.Itoa(limit)}}
		for name, value := range map[string]string{"code": code, "type": eventType, "after": after} {
			if value != "" {
				query.Set(name, value)
			}
		}
		answer, err := c.get(cmd.Context(), query, "v1", "dead-letters")
		if err != nil {
			return err
		}
		list, err := decode[struct {
			DeadLetters []deadLetter `json:"dead_letters"`
		}](c, answer)
		if err != nil {
			return err
		}
		return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error {
			t := newTable("ID", "CODE", "TYPE", "STAGE", "KEY", "ORIGIN", "LOG TIME")
			for _, d := range list.DeadLetters {
				t.AppendRow(table.Row{d.ID, d.Code, d.Type, d.Stage, d.Key, d.origin(), d.LogTime})
			}
			if err := render(w, t); err != nil || len(list.DeadLetters) < limit {
				return err
			}
			_, err := fmt.Fprintf(w, "there may be more: --after %s\n", list.DeadLetters[limit-1].ID)
			return err
		})
	}
	return cmd
}

func newDeadLettersShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one dead letter",
		Example: "  anabranch dead-letters show ID -o yaml",
		Args:    cobra.ExactArgs(1),
	}
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		answer, err := c.get(cmd.Context(), nil, "v1", "dead-letters", args[0])
		if err != nil {
			return err
		}
		d, err := decode[deadLetter](c, answer)
		if err != nil {
			return err
		}
		return out.show(cmd.OutOrStdout(), answer, func(w io.Writer) error {
			var fields []string
			for _, f := range d.Fields {
				fields = append(fields, f.Name+"="+f.Value)
			}
			t := newTable("FIELD", "VALUE")
			t.AppendRows([]table.Row{{"id", d.ID}, {"code", d.Code}, {"type", d.Type}, {"stage", d.Stage}, {"key", d.Key},
				{"log time", d.LogTime}, {"origin", d.origin()}, {"event", d.Cause.Source + " " + d.Cause.ID},
				{"event time", d.Cause.Time}, {"sha-256", d.Hash}, {"fields", strings.Join(fields, " ")}})
			return render(w, t)
		})
	}
	return cmd
}

func newDeadLettersRedrive() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redrive ID…",
		Short: "Try dead letters again, after their cause is mended",
		Long: `Redrive reads the event again from its input topic, or takes the message kept
with the dead letter, and applies it once. What fails again becomes a dead
letter with a new id; the exit code is then 1.`,
		Example: "  anabranch dead-letters redrive ID",
		Args:    cobra.MinimumNArgs(1),
	}
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		type result struct {
			ID      string `json:"id"`
			Outcome string `json:"outcome"`
			Code    string `json:"code,omitempty"`
			Again   string `json:"dead_letter,omitempty"` // its new id, if it failed again
		}
		var results []result
		failed := 0
		for _, id := range args {
			answer, err := c.post(cmd.Context(), nil, nil, "v1", "dead-letters", id, "redrive")
			if err != nil {
				return err
			}
			r, err := decode[result](c, answer)
			if err != nil {
				return err
			}
			r.ID = id
			results = append(results, r)
			if r.Outcome != "applied" && r.Outcome != "duplicate" {
				failed++
			}
		}
		err := out.showValue(cmd.OutOrStdout(), results, func(w io.Writer) error {
			t := newTable("ID", "OUTCOME", "CODE", "NEW ID")
			for _, r := range results {
				t.AppendRow(table.Row{r.ID, r.Outcome, r.Code, r.Again})
			}
			return render(w, t)
		})
		if err == nil && failed > 0 {
			err = fmt.Errorf("%d of %s could not be applied", failed, count(len(args), "dead letter"))
		}
		return err
	}
	return cmd
}
