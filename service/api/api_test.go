package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"gitlab.com/slipway-ci/slipway/service/api"
)

func TestContractIsValid(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Contract)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestGenerated generates again and compares with what is committed.
func TestGenerated(t *testing.T) {
	t.Parallel()
	if os.Getenv("SLIPWAY_TEST_GENERATED") != "1" {
		t.Skip("compiles for a minute: make test-generated")
	}
	folder := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "go", args...) // #nosec G204 -- our own arguments
		c.Env = append(os.Environ(), "GOFLAGS=")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	config, err := os.ReadFile("codegen.yaml")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(folder, "codegen.yaml")
	config = bytes.Replace(config, []byte("output: api.gen.go"), []byte("output: "+filepath.Join(folder, "api.gen.go")), 1)
	if err := os.WriteFile(elsewhere, config, 0o600); err != nil {
		t.Fatal(err)
	}
	run("tool", "-modfile=../../tools/openapi/go.mod", "oapi-codegen", "-config", elsewhere, "openapi.yaml")
	for _, name := range []string{"api.gen.go"} {
		want, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is not what openapi.yaml says: run go generate ./service/api", name)
		}
	}
}

// FuzzBodies feeds bodies to the checks: they never panic, and what they accept the generated types can read.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{`{}`, `{"customer":"a","currency":"EUR","items":[{"sku":"a","quantity":1,"unit_price":1}]}`, `null`, `{"note":null}`,
		`{"customer":"a","customer":"b"}`, `{"Customer":"a"}`, `{} {}`, "{\"customer\":\"\xff\"}", `{"items":[null]}`, `{"note":"a"}`, `{"items":[]}`, `[]`} {
		f.Add([]byte(seed))
	}
	operations, err := api.Operations()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var n struct{ Customer, Currency *string }
		if operations["POST /v1/orders"].CheckBody(body) == nil {
			if err := json.Unmarshal(body, &n); err != nil || n.Customer == nil || n.Currency == nil {
				t.Errorf("%q was accepted: %v", body, err)
			}
		}
		var patch map[string]any
		if operations["PATCH /v1/orders/{id}"].CheckBody(body) == nil {
			if err := json.Unmarshal(body, &patch); err != nil {
				t.Errorf("%q was accepted: %v", body, err)
			}
		}
	})
}

// TestBodyErrors compares the texts of errors, which logs and command lines show.
func TestBodyErrors(t *testing.T) {
	t.Parallel()
	operations, err := api.Operations()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ body, want string }{
		"incomplete":     {`{"customer":`, "the JSON value is not complete"},
		"syntax":         {`{"customer":]`, "the body is not valid JSON at byte 12"},
		"present twice":  {`{"note":"a","note":"b"}`, "/note is present twice"},
		"one violation":  {`{"customer":"ann","currency":"EUR","items":[{"sku":"a","quantity":1}]}`, `/items/0/unit_price property "unit_price" is missing`},
		"all are listed": {`{"currency":"EUR","items":[{"sku":"a","quantity":1}]}`, `/customer property "customer" is missing; /items/0/unit_price property "unit_price" is missing`},
		"not an object":  {`[]`, "value must be an object"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := operations["POST /v1/orders"].CheckBody([]byte(test.body)); err == nil || err.Error() != test.want {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	if err := (&api.ParameterError{Field: "limit", Message: "must be an integer"}); err.Error() != "the parameter limit must be an integer" {
		t.Error(err)
	}
}
