package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"
)

// Formats of -o.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatYAML  = "yaml"
)

// format is the value of -o.
type format string

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }

func (f *format) Set(s string) error {
	if !slices.Contains([]string{formatTable, formatJSON, formatYAML}, s) {
		return fmt.Errorf("%q is none of table, json, yaml", s)
	}
	*f = format(s)
	return nil
}

// addOutput gives a command the flag -o.
func addOutput(cmd *cobra.Command) *format {
	f := format(formatTable)
	cmd.Flags().VarP(&f, "output", "o", "output format: table, json or yaml")
	return &f
}

// show prints a JSON document as asked for; asTable prints it for people.
func (f format) show(w io.Writer, doc []byte, asTable func(w io.Writer) error) error {
	switch f {
	case formatJSON:
		var b bytes.Buffer
		if err := json.Indent(&b, doc, "", "  "); err != nil {
			return fmt.Errorf("answer is not JSON: %w", err)
		}
		b.WriteByte('\n')
		_, err := w.Write(b.Bytes())
		return err
	case formatYAML:
		return writeYAML(w, doc)
	}
	return asTable(w)
}

// showValue is show for what this process made itself.
func (f format) showValue(w io.Writer, v any, asTable func(w io.Writer) error) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.show(w, doc, asTable)
}

// writeYAML rewrites JSON as YAML, fields in their order: JSON is YAML in
// another style.
func writeYAML(w io.Writer, doc []byte) error {
	var n yaml.Node
	if err := yaml.Unmarshal(doc, &n); err != nil {
		return fmt.Errorf("answer is not JSON: %w", err)
	}
	blockStyle(&n)
	b, err := yaml.Marshal(&n)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

func blockStyle(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		blockStyle(c)
	}
}

// newTable starts a table with a plain style that is also easy to cut.
func newTable(header ...any) table.Writer {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	t.SetStyle(style)
	t.AppendHeader(table.Row(header))
	return t
}

// numbers aligns the named columns to the right.
func numbers(t table.Writer, columns ...string) {
	configs := make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		configs[i] = table.ColumnConfig{Name: c, Align: text.AlignRight, AlignHeader: text.AlignRight}
	}
	t.SetColumnConfigs(configs)
}

// render writes a table without trailing spaces.
func render(w io.Writer, t table.Writer) error {
	for line := range strings.Lines(t.Render() + "\n") {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// count is "1 fault" or "2 faults".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
