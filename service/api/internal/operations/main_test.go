package main

import (
	"os"
	"strings"
	"testing"
)

func TestGenerate(t *testing.T) {
	t.Parallel()
	contract, err := os.ReadFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../operations.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	got, err := generate(contract)
	if err != nil || string(got) != string(want) {
		t.Errorf("operations.gen.go is not what openapi.yaml says: run go generate ./service/api (%v)", err)
	}
}

func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	for contract, want := range map[string]string{
		"\t":                            "yaml",
		"paths: {/x: {get: {}}}":        "get /x: has no x-scopes",
		"paths: {/x: {get: [1, 2, 3]}}": "get /x",
	} {
		if _, err := generate([]byte(contract)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", contract, err, want)
		}
	}
}
