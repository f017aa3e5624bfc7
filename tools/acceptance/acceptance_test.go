package main

import (
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const contract = `openapi: 3.0.3
info: {title: things, version: "1"}
paths:
  /things:
    get:
      operationId: listThings
      responses:
        '200': {description: all, content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Thing'}}}}}
    post:
      operationId: createThing
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}
      responses:
        '201': {description: made, headers: {Location: {required: true, schema: {type: string}}}, content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}
        '400': {description: refused, content: {application/json: {schema: {type: object, required: [title], properties: {title: {type: string}}}}}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getThing
      responses:
        '200': {description: one, content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}
components:
  schemas:
    Thing: {type: object, required: [name], additionalProperties: false, properties: {name: {type: string}}}
`

// things is a service that satisfies the contract, except for the responses that a test replaces.
func things(replaced map[string]http.HandlerFunc) http.Handler {
	answers := map[string]http.HandlerFunc{
		"GET /things":      answer(200, `[{"name":"a"}]`),
		"GET /things/{id}": answer(200, `{"name":"a"}`),
		"POST /things": func(w http.ResponseWriter, r *http.Request) {
			body := make([]byte, 1)
			if _, _ = r.Body.Read(body); string(body) != "{" {
				answer(400, `{"title":"want an object"}`)(w, r)
				return
			}
			w.Header().Set("Location", "/things/7")
			answer(201, `{"name":"a"}`)(w, r)
		},
	}
	mux := http.NewServeMux()
	for pattern, handler := range answers {
		if other, ok := replaced[pattern]; ok {
			handler = other
		}
		mux.HandleFunc(pattern, handler)
	}
	if other, ok := replaced["/"]; ok {
		mux.HandleFunc("/", other)
	}
	return mux
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// accept runs the command on a service and returns its output.
func accept(t *testing.T, service http.Handler, bodies map[string]string, args ...string) (string, error) {
	t.Helper()
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("openapi.yaml", contract)
	for name, body := range bodies {
		write(name+".json", body)
	}
	var out strings.Builder
	err := run(t.Context(), append([]string{"--url", server.URL, "--contract", filepath.Join(dir, "openapi.yaml"), "--bodies", dir, "--rate", "0"}, args...),
		func(string) string { return "X-Key: secret" }, &out)
	return out.String(), err
}

func TestContract(t *testing.T) {
	t.Parallel()
	create := map[string]string{"createThing": `{"name":"a"}`}
	for _, c := range []struct {
		name     string
		replaced map[string]http.HandlerFunc
		says     string // empty: all is well
	}{
		{"all is well", nil, ""},
		{"an error", map[string]http.HandlerFunc{"GET /things": answer(500, `{}`)}, "✘ GET /things: status 500, want success"},
		{"a status that is not in the contract", map[string]http.HandlerFunc{"GET /things": answer(203, `[]`)}, "✘ GET /things: status 203: status is not supported"},
		{"a property that is missing", map[string]http.HandlerFunc{"GET /things/{id}": answer(200, `{}`)}, `✘ GET /things/{id}: status 200`},
		{"a property too many", map[string]http.HandlerFunc{"GET /things/{id}": answer(200, `{"name":"a","secret":1}`)}, `✘ GET /things/{id}: status 200`},
		{"no JSON", map[string]http.HandlerFunc{"GET /things": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }}, "✘ GET /things: status 200"},
		{"no Location", map[string]http.HandlerFunc{"POST /things": answer(201, `{"name":"a"}`)}, "✘ POST /things: status 201"},
		{"takes everything", map[string]http.HandlerFunc{"POST /things": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/things/7")
			answer(201, `{"name":"a"}`)(w, r)
		}}, "✘ POST /things with a body that the contract forbids: status 201, want a refusal"},
		{"an undocumented refusal", map[string]http.HandlerFunc{"POST /things": answer(422, `{}`)}, "status is not supported"},
		{"serves every path", map[string]http.HandlerFunc{"/": answer(200, `{}`)}, "✘ GET of a path that the contract does not have: 200 OK, want 404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := accept(t, things(c.replaced), create)
			if (err == nil) != (c.says == "") || !strings.Contains(out, c.says) {
				t.Errorf("%v, want %q:\n%s", err, c.says, out)
			}
		})
	}
}

// TestCallsOnlyWhatItMay changes nothing without a body for it.
func TestCallsOnlyWhatItMay(t *testing.T) {
	t.Parallel()
	keys := make(chan string, 10)
	out, err := accept(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys <- r.Header.Get("X-Key")
		things(nil).ServeHTTP(w, r)
	}), nil)
	if err != nil || !strings.Contains(out, "– POST /things: it changes something: give it a body in createThing.json") || !strings.Contains(out, "– GET /things/{id}: nothing was made") {
		t.Errorf("%v\n%s", err, out)
	}
	if key := <-keys; key != "secret" {
		t.Errorf("the header of ACCEPTANCE_HEADERS arrives as %q", key)
	}
}

// TestExcept leaves out operations, which are not called at all, and refuses entries that the contract does not have.
func TestExcept(t *testing.T) {
	t.Parallel()
	create := map[string]string{"createThing": `{"name":"a"}`}
	for _, c := range []struct {
		name, except string
		calls        []string
		says         string // of the error; empty: all is well
	}{
		{"nothing", "", []string{"POST /things", "POST /things", "GET /things", "GET /things/7"}, ""},
		{"by operationId", "createThing", []string{"GET /things"}, ""},
		{"by method and path", " get  /things/{id} ,", []string{"POST /things", "POST /things", "GET /things"}, ""},
		{"several", "listThings, GET /things/{id}", []string{"POST /things", "POST /things"}, ""},
		{"unknown", "listThings,PUT /things,readThing", nil, `has no operation "PUT /things", "readThing"; write an operationId or METHOD /path`},
		{"everything", "listThings,createThing,getThing", nil, "1 of 5 checks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var calls []string
			out, err := accept(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/acceptance-no-such-path" {
					mu.Lock()
					calls = append(calls, r.Method+" "+r.URL.Path)
					mu.Unlock()
				}
				things(nil).ServeHTTP(w, r)
			}), create, "--except", c.except)
			if (err == nil) != (c.says == "") || (err != nil && !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q:\n%s", err, c.says, out)
			}
			if !slices.Equal(calls, c.calls) {
				t.Errorf("called %q, want %q", calls, c.calls)
			}
			if c.name == "by operationId" && !strings.Contains(out, "– POST /things: left out by except") {
				t.Errorf("the log does not say what is left out:\n%s", out)
			}
		})
	}
}

// TestBelowPath tests a service below a path of its host, which its Locations have.
func TestBelowPath(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.StripPrefix("/shop", things(map[string]http.HandlerFunc{"POST /things": func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) == "[]" {
			answer(400, `{"title":"want an object"}`)(w, r)
			return
		}
		w.Header().Set("Location", "/shop/things/7")
		answer(201, `{"name":"a"}`)(w, r)
	}})))
	t.Cleanup(server.Close)
	if out, err := accept(t, http.NotFoundHandler(), map[string]string{"createThing": `{"name":"a"}`}, "--url", server.URL+"/shop"); err != nil || !strings.Contains(out, "✔ GET /things/{id}") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestRequests calls operations that need more than a path, and does not ask for what was deleted.
func TestRequests(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "openapi.yaml")
	if err := os.WriteFile(file, []byte(`openapi: 3.0.3
info: {title: things, version: "1"}
paths:
  /search:
    get:
      parameters: [{name: q, in: query, required: true, example: a b, schema: {type: string}}]
      responses: {'200': {description: found, content: {text/html: {schema: {type: string}}}}}
  /report:
    get:
      parameters: [{name: month, in: query, required: true, schema: {type: string}}]
      responses: {'200': {description: report}}
  /audit:
    get:
      parameters: [{name: X-Reason, in: header, required: true, schema: {type: string}}]
      responses: {'200': {description: audit}}
  /things:
    post:
      operationId: createThing
      requestBody: {content: {application/json: {schema: {}}}}
      responses: {'201': {description: made}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    patch:
      operationId: changeThing
      requestBody: {content: {application/merge-patch+json: {schema: {}}}}
      responses: {'204': {description: changed}}
    delete:
      operationId: deleteThing
      responses: {'204': {description: deleted}}
  /things/{id}/parts:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      responses: {'200': {description: parts}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	var deleted atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /search", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("q") != "a b" {
			w.WriteHeader(http.StatusBadRequest)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<p>found"))
	})
	mux.HandleFunc("POST /things", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/things/7")
		w.WriteHeader(http.StatusCreated)
	})
	mux.HandleFunc("PATCH /things/7", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/merge-patch+json" {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /things/7", func(w http.ResponseWriter, _ *http.Request) {
		deleted.Store(true)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /things/7/parts", func(w http.ResponseWriter, _ *http.Request) {
		if deleted.Load() {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	out, err := accept(t, mux, map[string]string{"createThing": "{}", "changeThing": "{}", "deleteThing": "{}"}, "--contract", file, "--rate", "20", "--duration", "1s", "--max-p99", "10s", "--max-slowdown", "0")
	if err != nil {
		t.Error(err)
	}
	for _, line := range []string{"✔ GET /search", "✔ PATCH /things/{id}", "✔ DELETE /things/{id}", "✔ GET /things/{id}/parts", "✔ load: at most",
		"– GET /report: the contract has no example for the required parameter month", "– GET /audit: ACCEPTANCE_HEADERS does not have the required header X-Reason"} {
		if !strings.Contains(out, line) {
			t.Errorf("no line %q:\n%s", line, out)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	load := []string{"--rate", "50", "--duration", "1s", "--max-p99", "10s", "--max-slowdown", "0"}
	// A busy machine sends fewer than the 50 that are due.
	if out, err := accept(t, things(nil), nil, load...); err != nil || !regexp.MustCompile(`\s[1-9][0-9]* requests at .* 0\.00 % failed`).MatchString(out) {
		t.Errorf("%v\n%s", err, out)
	}
	var calls atomic.Int32
	sometimes := things(map[string]http.HandlerFunc{"GET /things": func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) > 1 { // the first one is that of the contract
			answer(503, `{}`)(w, r)
			return
		}
		answer(200, `[]`)(w, r)
	}})
	if out, err := accept(t, sometimes, nil, append(load, "--rate", "5")...); err == nil || !strings.Contains(out, "✘ load: at most 0.1 % fail: 100.00 % failed") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := accept(t, things(nil), nil, append(load, "--max-p99", "1ns")...); err == nil || !strings.Contains(out, "✘ load: p99 below 1ns") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestBaseline(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "cache", "baseline.json")
	if err := compare(file, baseline{P50: 1e9}, 100); err != nil {
		t.Errorf("nothing to compare with: %v", err)
	}
	if err := keep(file, baseline{P50: 40e6}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		now baseline
		ok  bool
	}{{baseline{P50: 80e6}, true}, {baseline{P50: 81e6}, false}} {
		if err := compare(file, c.now, 100); (err == nil) != c.ok {
			t.Errorf("%s after 40ms: %v", c.now.P50, err)
		}
	}
	if err := keep(file, baseline{P50: 1e6}); err != nil {
		t.Fatal(err)
	}
	if err := compare(file, baseline{P50: 19e6}, 100); err != nil {
		t.Errorf("a difference of noise: %v", err)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "reports", "junit.xml")
	if _, err := accept(t, things(map[string]http.HandlerFunc{"GET /things": answer(500, `<&>`)}), nil, "--junit", file); err == nil {
		t.Error("no error")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Failures int `xml:"failures,attr"`
		Cases    []struct {
			Failure *struct {
				Text string `xml:"message,attr"`
			} `xml:"failure"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(text, &suite); err != nil || suite.Failures != 1 || len(suite.Cases) < 3 {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := run(context.Background(), nil, os.Getenv, &out); err == nil || !strings.Contains(err.Error(), "--contract and --url are needed") {
		t.Error(err)
	}
	if _, err := headers("nonsense"); err == nil {
		t.Error("a header without a value is taken")
	}
}
