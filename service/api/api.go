// Package api holds the contract of the service, openapi.yaml, the code generated from it, and the validation of requests
// against it.
package api

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:generate go tool -modfile=../../tools/openapi/go.mod oapi-codegen -config codegen.yaml openapi.yaml

// Contract is the OpenAPI document.
//
//go:embed openapi.yaml
var Contract []byte

// Operation describes an operation of the contract.
type Operation struct {
	ID     string
	Scopes []string // that the client needs
	Body   string   // the media type of the body, "" for none

	body    *openapi3.Schema
	query   map[string]*openapi3.Schema
	headers map[string]*openapi3.Schema
}

// Operations returns the operations of the contract by their patterns in an [http.ServeMux]. The map is read only.
var Operations = sync.OnceValues(func() (map[string]*Operation, error) {
	doc, err := openapi3.NewLoader().LoadFromData(Contract)
	if err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	operations := map[string]*Operation{}
	for path, item := range doc.Paths.Map() {
		for method, spec := range item.Operations() {
			o := &Operation{ID: spec.OperationID, query: map[string]*openapi3.Schema{}, headers: map[string]*openapi3.Schema{}}
			scopes, _ := spec.Extensions["x-scopes"].([]any)
			for _, scope := range scopes {
				o.Scopes = append(o.Scopes, fmt.Sprint(scope))
			}
			if o.Scopes == nil {
				return nil, fmt.Errorf("openapi.yaml: %s %s has no x-scopes: state what a client must be allowed to do", method, path)
			}
			for _, p := range spec.Parameters {
				switch p.Value.In {
				case openapi3.ParameterInQuery:
					o.query[p.Value.Name] = p.Value.Schema.Value
				case openapi3.ParameterInHeader:
					o.headers[p.Value.Name] = p.Value.Schema.Value
				}
			}
			if spec.RequestBody != nil {
				for mediaType, content := range spec.RequestBody.Value.Content {
					o.Body, o.body = mediaType, content.Schema.Value
				}
			}
			operations[strings.ToUpper(method)+" "+path] = o
		}
	}
	return operations, nil
})

// PageOperation describes the page for people, which the contract does not have: it needs what reading orders needs.
func PageOperation() *Operation {
	return &Operation{ID: "page", Scopes: []string{"orders:read"}, query: map[string]*openapi3.Schema{"status": openapi3.NewStringSchema()}}
}
