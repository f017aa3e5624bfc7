// Command operations writes what the service needs to know of each operation of the contract before a handler runs: the
// scopes, the query parameters and the type of the body.
//
//	operations openapi.yaml operations.gen.go
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

func main() {
	contract, err := os.ReadFile(os.Args[1]) // #nosec G703 -- go generate names the file
	if err == nil {
		var code []byte
		if code, err = generate(contract); err == nil {
			err = os.WriteFile(os.Args[2], code, 0o644) // #nosec G306 G703 -- go generate names the file; source code is for everyone to read
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "operations:", err)
		os.Exit(1)
	}
}

type parameter struct{ Name, In string }

type operation struct {
	OperationID string   `yaml:"operationId"`
	Scopes      []string `yaml:"x-scopes"`
	Parameters  []parameter
	RequestBody struct{ Content map[string]any } `yaml:"requestBody"`
}

func generate(contract []byte) ([]byte, error) {
	var doc struct {
		Paths map[string]map[string]yaml.Node
	}
	if err := yaml.Unmarshal(contract, &doc); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("// Code generated from openapi.yaml by internal/operations. DO NOT EDIT.\n\npackage api\n\n" +
		"// Operations describes the operations of the contract by their patterns in an [http.ServeMux].\n" +
		"var Operations = map[string]Operation{\n")
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			node, ok := doc.Paths[path][method]
			if !ok {
				continue
			}
			var op operation
			if err := node.Decode(&op); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			if len(op.Scopes) == 0 {
				return nil, fmt.Errorf("%s %s: has no x-scopes: nothing is for everyone", method, path)
			}
			var query []string
			for _, p := range op.Parameters {
				if p.In == "query" {
					query = append(query, p.Name)
				}
			}
			body := slices.Sorted(maps.Keys(op.RequestBody.Content))
			fmt.Fprintf(&b, "%q: {ID: %q, Scopes: %#v, Query: %#v, Body: %q},\n", strings.ToUpper(method)+" "+path, op.OperationID,
				op.Scopes, query, strings.Join(body, ""))
		}
	}
	b.WriteString("}\n")
	return format.Source(b.Bytes())
}
