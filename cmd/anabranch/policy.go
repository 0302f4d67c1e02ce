package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"anabranch.dev/connectors/wire"
	"anabranch.dev/operators/event"
	"anabranch.dev/operators/policy"
)

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		Short:   "Versioned policies: the rules that shape decisions",
		Example: "  anabranch policy get allocation -o json",
	}
	cmd.AddCommand(newPolicyGet(), newPolicyHistory(), newPolicyDiff(), newPolicyCheck(), newPolicyPublish())
	return cmd
}

func newPolicyGet() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get NAME",
		Short:   "Show the policy in force and how its shadow compares; version 0 is the built-in default",
		Example: "  anabranch policy get allocation",
		Args:    cobra.ExactArgs(1),
	}
	var history bool
	cmd.Flags().BoolVar(&history, "history", false, "show the kept versions too, newest first")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{}
		if history {
			query.Set("history", "true")
		}
		answer, err := c.get(cmd.Context(), query, "v1", "policies", args[0])
		if err != nil {
			return err
		}
		return showPolicy(cmd.OutOrStdout(), c, out, answer)
	}
	return cmd
}

func newPolicyCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Check a policy document without a node; exit code 3 if anything is wrong",
		Example: "  anabranch policy check -f policy.yaml",
		Args:    cobra.NoArgs,
	}
	var file string
	addPolicyFile(cmd, &file)
	out := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		body, err := readPolicy(cmd.InOrStdin(), file, false)
		if err != nil {
			return err
		}
		faults, err := checkPolicy(body)
		if err != nil {
			return err
		}
		result := struct {
			File   string   `json:"file"`
			Faults []string `json:"faults"`
		}{file, faults}
		err = out.showValue(cmd.OutOrStdout(), result, func(w io.Writer) error {
			if len(faults) == 0 {
				_, err := fmt.Fprintf(w, "%s: good\n", file)
				return err
			}
			for _, f := range faults {
				if _, err := fmt.Fprintf(w, "%s: %s\n", file, f); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil && len(faults) > 0 {
			err = &foundError{file + ": " + count(len(faults), "fault")}
		}
		return err
	}
	return cmd
}

func newPolicyPublish() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publish",
		Short: "Publish the next version of a policy",
		Long: `The file is YAML or JSON: name, author, comment and the rules. Later decisions
name the new version. A shadow decides nothing: what it would have decided is
compared with what is decided, until the next policy is published.`,
		Example: "  anabranch policy publish -f policy.yaml --shadow",
		Args:    cobra.NoArgs,
	}
	var file string
	var shadow bool
	addPolicyFile(cmd, &file)
	cmd.Flags().BoolVar(&shadow, "shadow", false, "compare it with the policy in force instead of putting it in force")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		body, err := readPolicy(cmd.InOrStdin(), file, shadow)
		if err != nil {
			return err
		}
		faults, err := checkPolicy(body)
		if err != nil {
			return err
		}
		if len(faults) > 0 {
			return fmt.Errorf("%s: not published, %s:\n  %s", file, count(len(faults), "fault"), strings.Join(faults, "\n  "))
		}
		answer, err := c.post(cmd.Context(), body, nil, "v1", "policies")
		if err != nil {
			return err
		}
		return showPolicy(cmd.OutOrStdout(), c, out, answer)
	}
	return cmd
}

func addPolicyFile(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", "", "policy as YAML or JSON, - for standard input (required)")
}

// policyType is the event that publishes a policy.
const policyType = "policy.published"

// readPolicy reads YAML or JSON and returns an event as JSON. A proposal without
// an id of its own is a new one each time; shadow makes it one.
func readPolicy(stdin io.Reader, file string, shadow bool) ([]byte, error) {
	body, err := readFile(stdin, file)
	if err != nil {
		return nil, err
	}
	var doc map[string]any
	if err := yaml.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if doc == nil {
		return nil, fmt.Errorf("%s: is empty", file)
	}
	if shadow {
		doc["shadow"] = true
	}
	for field, value := range map[string]any{"id": rand.Text(), "source": "anabranch-cli", "type": policyType, "time": time.Now().UTC()} {
		if _, given := doc[field]; !given {
			doc[field] = value
		}
	}
	return json.Marshal(doc)
}

// checkPolicy decodes a policy as a node would, and lists its faults.
func checkPolicy(body []byte) ([]string, error) {
	p, fault, err := decodePolicy(body)
	if err != nil {
		return nil, err
	}
	if fault != "" {
		return []string{fault}, nil
	}
	return policy.CheckInDetail(p), nil
}

// decodePolicy decodes a policy as a node would, or says what is wrong with it.
func decodePolicy(body []byte) (p *event.PolicyPublished, fault string, err error) {
	decoder, err := keylessDecoder()
	if err != nil {
		return nil, "", err
	}
	e := decoder.Unmarshal(policyType, body)
	if e.Reject != nil {
		fault := e.Reject.Code
		for _, f := range e.Reject.Fields {
			fault += " " + f.Name + "=" + f.Value
		}
		return nil, fault, nil
	}
	p, ok := e.Payload.Value.(*event.PolicyPublished)
	if !ok {
		return nil, "type " + e.Type + " is not " + policyType, nil
	}
	return p, "", nil
}

// keylessDecoder decodes what holds no identifiers.
func keylessDecoder() (*wire.Decoder, error) {
	key, err := wire.ParseKey(strings.Repeat("00", wire.MinKeyBytes))
	if err != nil {
		return nil, err
	}
	pseudonyms, err := wire.NewPseudonymiser(wire.Privacy{Key: key})
	if err != nil {
		return nil, err
	}
	return wire.NewDecoder(pseudonyms), nil
}
