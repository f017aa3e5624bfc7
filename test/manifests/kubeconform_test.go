package manifests

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yannh/kubeconform/pkg/validator"
)

// newKubeconform returns kubeconform with the schemas of a server's kinds, those of custom resource definitions included. It refuses unknown fields.
func newKubeconform(t *testing.T, s *apiServer) validator.Validator {
	t.Helper()
	dir := t.TempDir()
	definitions := s.definitions(t)
	for _, d := range definitions {
		closeObjects(d)
	}
	writeJSON(t, filepath.Join(dir, "definitions.json"), map[string]any{"definitions": definitions})
	for name, d := range definitions {
		for _, kind := range kinds(d) {
			// Kubeconform's group of v1 is v1.
			file := strings.ToLower(strings.Join([]string{cmp.Or(kind.Group, kind.Version), kind.Version, kind.Kind}, "_")) + ".json"
			writeJSON(t, filepath.Join(dir, file), map[string]any{"$ref": "definitions.json#/definitions/" + name})
		}
	}
	v, err := validator.New([]string{dir + "/{{ .Group }}_{{ .ResourceAPIVersion }}_{{ .ResourceKind }}.json"}, validator.Opts{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]validator.Status{
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b}\n":              validator.Valid,
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndate: {a: b}\n":              validator.Invalid,
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: a}\n": validator.Invalid,
		"apiVersion: v1\nkind: Nothing\nmetadata: {name: a}\n":                              validator.Error,
	} {
		for _, r := range v.Validate("check", io.NopCloser(strings.NewReader(text))) {
			if r.Status != want {
				t.Errorf("kubeconform has the status %d, want %d, for\n%s%v", r.Status, want, text, r.Err)
			}
		}
	}
	return v
}

// conform validates manifests.
func conform(t *testing.T, v validator.Validator, manifests []byte) {
	t.Helper()
	results := v.Validate("manifests", io.NopCloser(bytes.NewReader(manifests)))
	for _, r := range results {
		if r.Status != validator.Valid && r.Status != validator.Empty {
			signature, _ := r.Resource.Signature()
			t.Errorf("kubeconform: %+v: %v", signature, r.Err)
		}
	}
	if len(results) == 0 {
		t.Error("kubeconform has validated nothing")
	}
}

// definitions returns the schemas of a server's kinds by their names in its OpenAPI document. It waits for those of custom resource definitions, which
// the server adds after it serves them.
func (s *apiServer) definitions(t *testing.T) map[string]any {
	t.Helper()
	var custom struct {
		Items []struct {
			Spec struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Served bool
				}
			}
		}
	}
	s.getRaw(t, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &custom)
	for end := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		var document struct{ Definitions map[string]any }
		s.getRaw(t, "/openapi/v2", &document)
		have := map[groupVersionKind]bool{}
		for _, d := range document.Definitions {
			for _, kind := range kinds(d) {
				have[kind] = true
			}
		}
		var missing []groupVersionKind
		for _, c := range custom.Items {
			for _, v := range c.Spec.Versions {
				if kind := (groupVersionKind{c.Spec.Group, v.Name, c.Spec.Names.Kind}); v.Served && !have[kind] {
					missing = append(missing, kind)
				}
			}
		}
		if len(missing) == 0 {
			return document.Definitions
		}
		if time.Now().After(end) {
			t.Fatalf("the server has no schemas of %v", missing)
		}
	}
}

func (s *apiServer) getRaw(t *testing.T, path string, into any) {
	t.Helper()
	out, err := s.kubectl(t, nil, "get", "--raw", path)
	if err == nil {
		err = json.Unmarshal([]byte(out), into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

type groupVersionKind struct{ Group, Version, Kind string }

// kinds returns those that a definition is the schema of.
func kinds(definition any) []groupVersionKind {
	text, _ := json.Marshal(definition)
	var d struct {
		Kinds []groupVersionKind `json:"x-kubernetes-group-version-kind"`
	}
	_ = json.Unmarshal(text, &d)
	return d.Kinds
}

// closeObjects makes a definition refuse unknown fields, and accept numbers where Kubernetes reads them as strings, too.
func closeObjects(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		_, described := s["properties"].(map[string]any)
		_, more := s["additionalProperties"]
		if described && !more && s["x-kubernetes-preserve-unknown-fields"] != true {
			s["additionalProperties"] = false
		}
		description, _ := s["description"].(string)
		if s["format"] == "int-or-string" || s["x-kubernetes-int-or-string"] == true || s["type"] == "string" && strings.HasPrefix(description, "Quantity is a fixed-point") {
			delete(s, "format")
			s["type"] = []string{"string", "number"}
		}
		for _, v := range s {
			closeObjects(v)
		}
	case []any:
		for _, v := range s {
			closeObjects(v)
		}
	}
}

func writeJSON(t *testing.T, path string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
