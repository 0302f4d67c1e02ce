package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"
)

func newOrder() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "order",
		Short:   "Place orders",
		Example: "  anabranch order place -f order.json",
	}
	cmd.AddCommand(newOrderPlace())
	return cmd
}

func newOrderPlace() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "place",
		Short: "Place an order and show its replicated decision",
		Long: `The file holds an order.placed event; id, source, type and time may be left out.
The same order with the same key answers the same decision again. Without --key
the event's id is the key, or a hash of the file if it has none.`,
		Example: `  anabranch order place -f order.json
  echo '{"order":"W-1","channel":"own_online","location":"web","currency":"CNY",
         "lines":[{"line":1,"sku":"glasses-7","quantity":1,"unit_price":"899.00"}]}' | anabranch order place -f -`,
		Args: cobra.NoArgs,
	}
	var file, key string
	cmd.Flags().StringVarP(&file, "file", "f", "", "order as JSON, - for standard input (required)")
	cmd.Flags().StringVar(&key, "key", "", "idempotency key")
	c, out := addClient(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		body, err := readInput(cmd.InOrStdin(), file)
		if err != nil {
			return err
		}
		if key == "" {
			key = keyOf(body)
		}
		answer, err := c.post(cmd.Context(), body, http.Header{"Idempotency-Key": {key}}, "v1", "orders")
		if err != nil {
			return err
		}
		return showDecision(cmd.OutOrStdout(), c, out, answer)
	}
	return cmd
}

// readInput reads the file named by -f and checks that it is JSON, naming the
// line of a fault.
func readInput(stdin io.Reader, file string) ([]byte, error) {
	body, err := readFile(stdin, file)
	if err != nil {
		return nil, err
	}
	var doc json.RawMessage
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("%s:%d: not JSON: %w", file, lineOf(body, err), err)
	}
	return body, nil
}

func readFile(stdin io.Reader, file string) ([]byte, error) {
	switch file {
	case "":
		return nil, usagef("-f is missing: name a file, or - for standard input")
	case "-":
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

// lineOf is the line of a JSON syntax error.
func lineOf(body []byte, err error) int {
	line := 1
	if syntax, ok := err.(*json.SyntaxError); ok {
		for _, b := range body[:min(int(syntax.Offset), len(body))] {
			if b == '\n' {
				line++
			}
		}
	}
	return line
}

// keyOf is the idempotency key of a body that came without one.
func keyOf(body []byte) string {
	var e struct{ ID string }
	// What is no object gets a hash, and the node's own complaint.
	if err := json.Unmarshal(body, &e); err == nil && e.ID != "" {
		return e.ID
	}
	sum := sha256.Sum256(body)
	return "file-" + hex.EncodeToString(sum[:12])
}
