// Command generate writes the machine-readable contract into docs: the OpenAPI
// document of the HTTP API, the AsyncAPI document of the topics, and the JSON
// Schema of every event, in and out.
//
// Run it with 'go generate ./docs' after a type, an operation or a rule of
// connectors/wire has changed; a test fails until that is done.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"anabranch.dev/connectors/contract"
	"anabranch.dev/connectors/httpapi"
	"anabranch.dev/topology/retail"
)

// contractVersion is the version of the contract, not of the program.
const contractVersion = "1"

// schemaFolder holds the schema of one event type per file.
const schemaFolder = "schemas"

func main() {
	if err := generate("."); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate writes all documents below dir, and removes schemas of types that are
// no more.
func generate(dir string) error {
	files, err := documents()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, schemaFolder)); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// documents are all generated files by their path below docs.
func documents() (map[string][]byte, error) {
	plan, err := retail.Plan()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if files["openapi.json"], err = httpapi.OpenAPI(plan, contractVersion); err != nil {
		return nil, fmt.Errorf("openapi.json: %w", err)
	}
	if files["asyncapi.json"], err = contract.AsyncAPI(plan, retail.DefaultTopics(), contractVersion); err != nil {
		return nil, fmt.Errorf("asyncapi.json: %w", err)
	}
	for folder, events := range map[string][]contract.Event{"in": contract.Inputs(plan), "out": contract.Outputs(plan)} {
		for _, e := range events {
			if files[filepath.Join(schemaFolder, folder, e.Type+".json")], err = e.Document(); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}
