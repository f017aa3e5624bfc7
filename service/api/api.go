// Package api is the contract of the service: openapi.yaml, and what is generated from it.
package api

import _ "embed"

//go:generate go tool -modfile=../../tools/openapi/go.mod oapi-codegen -config codegen.yaml openapi.yaml
//go:generate go run ./internal/operations openapi.yaml operations.gen.go

// Contract is the OpenAPI document.
//
//go:embed openapi.yaml
var Contract []byte

// Operation is what is known of an operation before its handler runs.
type Operation struct {
	ID     string
	Scopes []string // what a client must be allowed to
	Query  []string // the query parameters that exist
	Body   string   // the media type of the body, "" for none
}
