package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"anabranch.dev/connectors/wire"
)

func newPolicyDiff() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff NAME [FROM [TO]]",
		Short: "Show what differs between two versions of a policy",
		Long: `FROM and TO are versions, by default the one in force: "diff NAME 3" says what has
changed since version 3, "diff NAME -f policy.yaml" what the file would change.`,
		Example: "  anabranch policy diff allocation 3 4\n  anabranch policy diff allocation -f policy.yaml",
		Args:    cobra.RangeArgs(1, 3),
	}
	var file string
	cmd.Flags().StringVarP(&file, "file", "f", "", "compare with a policy as YAML or JSON, - for standard input")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		versions, err := parseVersions(args[1:], file)
		if err != nil {
			return err
		}
		answer, err := c.get(cmd.Context(), url.Values{"history": {"true"}}, "v1", "policies", args[0])
		if err != nil {
			return err
		}
		p, err := decode[policyAnswer](c, answer)
		if err != nil {
			return err
		}
		var sides [2]map[string]string
		for i := range sides {
			if i == 1 && file != "" {
				sides[i], err = fieldsOfFile(cmd.InOrStdin(), file)
			} else {
				sides[i], err = p.fields(versions[i])
			}
			if err != nil {
				return err
			}
		}
		return showDifferences(cmd.OutOrStdout(), out, differences(sides[0], sides[1]))
	}
	return cmd
}

// versionInForce stands for the version in force, whichever that is.
const versionInForce = -1

// parseVersions reads which versions to compare.
func parseVersions(args []string, file string) (versions [2]int64, err error) {
	versions = [2]int64{versionInForce, versionInForce}
	switch {
	case len(args) == 0 && file == "":
		return versions, usagef("name a version to compare with, or a file with -f")
	case len(args) == 2 && file != "":
		return versions, usagef("two versions and -f are given: two sides are enough")
	}
	for i, arg := range args {
		if versions[i], err = strconv.ParseInt(arg, 10, 64); err != nil || versions[i] < 0 {
			return versions, usagef("%q is not a version", arg)
		}
	}
	return versions, nil
}

// fields are the fields of a version.
func (p *policyAnswer) fields(version int64) (map[string]string, error) {
	v := &p.Current
	if version != versionInForce && version != v.Version {
		i := slices.IndexFunc(p.History, func(v policyVersion) bool { return v.Version == version })
		if i < 0 {
			return nil, fmt.Errorf("policy %s has no version %d any more", v.Name, version)
		}
		v = &p.History[i]
	}
	body, err := json.Marshal(map[string]any{"id": "diff", "source": "anabranch-cli", "type": policyType,
		"time": "2026-01-01T00:00:00Z", "name": v.Name, "allocation": v.Allocation})
	if err != nil {
		return nil, err
	}
	return fieldsOfPolicy(body)
}

func fieldsOfFile(stdin io.Reader, file string) (map[string]string, error) {
	body, err := readPolicy(stdin, file, false)
	if err != nil {
		return nil, err
	}
	fields, err := fieldsOfPolicy(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return fields, nil
}

// fieldsOfPolicy are the fields of a policy that are set, by their path. Rules
// stand under their names.
func fieldsOfPolicy(body []byte) (map[string]string, error) {
	p, fault, err := decodePolicy(body)
	switch {
	case err != nil:
		return nil, err
	case fault != "":
		return nil, fmt.Errorf("not a policy: %s", fault)
	case p.Allocation == nil:
		return nil, fmt.Errorf("not a policy: allocation is missing")
	}
	doc, err := wire.MarshalJSON(p.Allocation)
	if err != nil {
		return nil, err
	}
	var all map[string]any
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, err
	}
	fields := map[string]string{}
	flatten(fields, "", all)
	return fields, nil
}

func flatten(fields map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			flatten(fields, strings.TrimPrefix(path+"."+name, "."), value)
		}
	case []any:
		var words []string
		for _, item := range v {
			if rule, ok := item.(map[string]any); ok {
				name := fmt.Sprint(rule["rule"])
				delete(rule, "rule")
				flatten(fields, path+"["+name+"]", rule)
				continue
			}
			words = append(words, fmt.Sprint(item))
		}
		if len(words) > 0 {
			fields[path] = strings.Join(words, ", ")
		}
	case float64:
		fields[path] = strconv.FormatInt(int64(v), 10)
	case nil:
	default:
		if text := fmt.Sprint(v); text != "" {
			fields[path] = text
		}
	}
}

// difference is one field that differs; an empty side does not have it.
type difference struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// differences lists the fields that differ, by name.
func differences(from, to map[string]string) []difference {
	list := []difference{}
	for field, value := range from {
		if to[field] != value {
			list = append(list, difference{field, value, to[field]})
		}
	}
	for field, value := range to {
		if _, both := from[field]; !both {
			list = append(list, difference{Field: field, To: value})
		}
	}
	slices.SortFunc(list, func(a, b difference) int { return strings.Compare(a.Field, b.Field) })
	return list
}

func showDifferences(w io.Writer, out *format, list []difference) error {
	return out.showValue(w, list, func(w io.Writer) error {
		if len(list) == 0 {
			_, err := fmt.Fprintln(w, "nothing differs")
			return err
		}
		t := newTable("FIELD", "FROM", "TO")
		for _, d := range list {
			t.AppendRow(table.Row{d.Field, d.From, d.To})
		}
		return render(w, t)
	})
}
