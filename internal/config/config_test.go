package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"anabranch.dev/internal/config"
)

var topics = map[string]string{"sales": "retail.sales", "reference": "retail.reference"}

// The golden files hold configurations with what Load makes of them: what is in
// force, or everything that is wrong.
//
//	load [env=(NAME=VALUE, …)]
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "load" {
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			environment := map[string]string{}
			for _, arg := range d.CmdArgs {
				environment[arg.Key] = strings.Join(arg.Vals, ",")
			}
			c, err := parse(d.Input, environment)
			if err != nil {
				var faults *config.Faults
				if !errors.As(err, &faults) {
					t.Errorf("error is %T; want *config.Faults", err)
				}
				return err.Error() + "\n"
			}
			return printed(t, c)
		})
	})
}

func parse(text string, environment map[string]string) (*config.Config, error) {
	return config.Parse("node.yaml", []byte(text), config.Options{Topics: topics, Environment: func(name string) (string, bool) {
		v, ok := environment[name]
		return v, ok
	}})
}

func printed(t *testing.T, c *config.Config) string {
	t.Helper()
	var b strings.Builder
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const full = `
node:    {id: n1, data: "/var/lib/ana, #1", peer: 10.0.0.1:8471, http: ":8470"}
cluster: {name: retail, shards: 64, groups: 1, durability: memory, clock: replay, join: [10.0.0.1:8471, "[::1]:8471"]}
kafka:
  brokers: [kafka:9092, kafka-2:9092]
  delivery: at_least_once
  group: shops
  on_gap: skip
  lateness: 1h30m
  tls: {ca_file: ca.pem, cert_file: c.pem, key_file: k.pem}
  sasl: {mechanism: SCRAM-SHA-512, user: "007", password_file: secret}
topics:  {sales: retail.sales-v2}
http:    {tls: {cert_file: h.pem, key_file: hk.pem}, auth: {tokens_file: tokens}}
privacy: {pseudonym_key_file: people.key}
peer:    {tls: {ca_file: pca.pem, cert_file: pc.pem, key_file: pk.pem}}
limits:  {record: 512KiB, hot_memory: 3GiB, log: 16MiB, request_rate: 100}
log:     {level: debug, format: text}
`

// What is printed is a configuration that says the same, whether the values
// came from a file, the environment or nowhere.
func TestPrintedIsTheSame(t *testing.T) {
	minimal := "node: {id: n1, data: d}\ncluster: {name: c}\nkafka: {brokers: [k:1], tls: {}}\n"
	for _, text := range []string{full, minimal} {
		c, err := parse(text, map[string]string{"ANABRANCH_LOG_LEVEL": "warn"})
		if err != nil {
			t.Fatal(err)
		}
		first := printed(t, c)
		again, err := parse(first, nil)
		if err != nil {
			t.Fatalf("what was printed is refused: %v\n%s", err, first)
		}
		if a, b := values(first), values(printed(t, again)); a != b {
			t.Errorf("printed again:\n%s\nwant\n%s", b, a)
		}
	}
}

// values are the lines of what is printed, without origins.
func values(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		value, _, _ := strings.Cut(line, "  # ")
		b.WriteString(strings.TrimRight(value, " \n") + "\n")
	}
	return b.String()
}

// Whatever is in the file, reading it ends with a configuration or with faults.
func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add("node: &a {id: *a}")
	f.Add("a: &a [*a]\nnode: *a\n")
	f.Add("kafka: {brokers: [[], {}, ~, 'x']}")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse(text, nil)
		if err == nil {
			printed(t, c)
		} else if err.Error() == "" {
			t.Error("a fault without words")
		}
	})
}

func TestLoadMissing(t *testing.T) {
	_, err := config.Load("testdata/none.yaml", config.Options{})
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("Load = %v; want no such file", err)
	}
}
