package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	if testing.Short() {
		t.Skip("takes the generator")
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
	run("run", "./internal/operations", "openapi.yaml", filepath.Join(folder, "operations.gen.go"))
	for _, name := range []string{"api.gen.go", "operations.gen.go"} {
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

// FuzzNewOrder feeds bodies to the strict decoder: it never panics, and what it accepts it would accept again.
func FuzzNewOrder(f *testing.F) {
	for _, seed := range []string{`{}`, `{"customer":"a","currency":"EUR","items":[{"sku":"a","quantity":1,"unit_price":1}]}`, `null`, `{"note":null}`,
		`{"customer":"a","customer":"b"}`, `{"Customer":"a"}`, `{} {}`, "{\"customer\":\"\xff\"}", `{"items":[null]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) { roundTrip[api.NewOrder](t, body) })
}

// FuzzOrderPatch does the same for patches, where null has a meaning.
func FuzzOrderPatch(f *testing.F) {
	for _, seed := range []string{`{}`, `{"note":null}`, `{"note":"a"}`, `{"items":null}`, `{"items":[]}`, `[]`, `{"note":{"note":null}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) { roundTrip[api.OrderPatch](t, body) })
}

func roundTrip[T any](t *testing.T, body []byte) {
	t.Helper()
	var first, second T
	if api.CheckOne(body) != nil || json.Unmarshal(body, &first) != nil {
		return
	}
	written, err := json.Marshal(first)
	if err != nil {
		t.Fatalf("%q was read, but cannot be written: %v", body, err)
	}
	// A list that was absent is written as null, which the contract does not allow: only that may be refused.
	var refused *api.BodyError
	if err := json.Unmarshal(written, &second); err != nil && (!errors.As(err, &refused) || refused.Message != "must not be null") {
		t.Errorf("%q became %q: %v", body, written, err)
	}
}
