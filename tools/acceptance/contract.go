package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// maxBody is the limit for response bodies, in bytes.
const maxBody = 4 << 20

// A service is a running service and its contract.
type service struct {
	options
	document *openapi3.T
	client   *http.Client
	// left are the names of the operations that are not called.
	left map[string]bool
	// created are the URLs of created resources, by the path template with one parameter after the collection's.
	created map[string]string
	// working are the safe requests with valid responses, which the load sends.
	working []string
}

func newService(ctx context.Context, o options) (*service, error) {
	document, err := openapi3.NewLoader().LoadFromFile(o.contract)
	if err != nil {
		return nil, fmt.Errorf("read the contract %s: %w", o.contract, err)
	}
	if err := document.Validate(ctx); err != nil {
		return nil, fmt.Errorf("the contract %s: %w", o.contract, err)
	}
	if _, err := url.Parse(o.url); err != nil {
		return nil, err
	}
	o.url = strings.TrimSuffix(o.url, "/")
	client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	s := &service{options: o, document: document, client: client, left: map[string]bool{}, created: map[string]string{}}
	return s, s.leave(strings.Split(o.except, ","))
}

// leave leaves out operations, by operationId or as METHOD /path. Those that the contract does not have are an error: an operation that has been renamed would be called.
func (s *service) leave(entries []string) error {
	var unknown []string
	for _, entry := range entries {
		entry = strings.Join(strings.Fields(entry), " ")
		if entry == "" {
			continue
		}
		method, path, _ := strings.Cut(entry, " ")
		found := false
		for _, o := range s.operations() {
			if entry == o.OperationID || (strings.EqualFold(method, o.method) && path == o.path) {
				s.left[o.name()], found = true, true
			}
		}
		if !found {
			unknown = append(unknown, fmt.Sprintf("%q", entry))
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("except: the contract %s has no operation %s; write an operationId or METHOD /path, as they are there", s.contract, strings.Join(unknown, ", "))
	}
	return nil
}

// An operation is an operation of the contract, with its path template.
type operation struct {
	path, method string
	*openapi3.Operation
}

func (o operation) name() string { return o.method + " " + o.path }

func init() {
	// Of a page or a picture only that it is there can be compared with the contract.
	openapi3filter.RegisterBodyDecoder("*/*", openapi3filter.PlainBodyDecoder)
}

// operations returns all operations of the contract: first those that create resources, which others need, last those that delete them.
func (s *service) operations() []operation {
	var all []operation
	for _, path := range s.document.Paths.InMatchingOrder() {
		item := s.document.Paths.Value(path)
		for _, method := range slices.Sorted(maps.Keys(item.Operations())) {
			o := *item.Operations()[method]
			// Parameters of the path apply to each of its operations.
			o.Parameters = append(slices.Clone(item.Parameters), o.Parameters...)
			all = append(all, operation{path, method, &o})
		}
	}
	order := map[string]int{http.MethodPost: -1, http.MethodDelete: 1}
	slices.SortStableFunc(all, func(a, b operation) int {
		if d := strings.Count(a.path, "{") - strings.Count(b.path, "{"); d != 0 {
			return d
		}
		return order[a.method] - order[b.method]
	})
	return all
}

// checkContract calls every operation that it can: the safe ones, those with a given body, and with an invalid body all that take
// one.
func (s *service) checkContract(ctx context.Context, r *report) {
	called := 0
	for _, o := range s.operations() {
		if s.left[o.name()] {
			r.skip(o.name(), "left out by except")
			continue
		}
		path, ok := s.fill(o)
		if !ok {
			r.skip(o.name(), "nothing was made that it could be asked for")
			continue
		}
		body, given, err := s.body(o)
		if err != nil {
			r.add(o.name(), 0, err)
			continue
		}
		query, missing := s.required(o)
		path += query
		safe := o.method == http.MethodGet || o.method == http.MethodHead
		switch {
		case (safe || given) && missing != "":
			r.skip(o.name(), missing)
		case safe || given:
			called++
			r.measure(o.name(), func() error { return s.call(ctx, o, path, body, success) })
		default:
			r.skip(o.name(), fmt.Sprintf("it changes something: give it a body in %s.json (or {} if it takes none)", o.OperationID))
		}
		if forbidden := s.forbidden(o); forbidden != nil {
			called++
			r.measure(o.name()+" with a body that the contract forbids", func() error { return s.call(ctx, o, path, forbidden, refusal) })
		}
	}
	r.measure("GET of a path that the contract does not have", func() error {
		response, err := s.send(ctx, http.MethodGet, "/acceptance-no-such-path", nil, "")
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusUnauthorized {
			return fmt.Errorf("%s, want 404", response.Status)
		}
		return nil
	})
	if called == 0 {
		r.add("contract", 0, errors.New("it has no operation that could be called: this would test nothing"))
	}
}

// fill replaces the path's parameters with created resources.
func (s *service) fill(o operation) (path string, ok bool) {
	if !strings.Contains(o.path, "{") {
		return o.path, true
	}
	for template, location := range s.created {
		if rest, found := strings.CutPrefix(o.path, template); found && !strings.Contains(rest, "{") {
			return location + rest, true
		}
	}
	return "", false
}

// required returns the query with the parameters that the operation requires, by the contract's examples, or says which parameter has no value.
func (s *service) required(o operation) (query, missing string) {
	values := url.Values{}
	for _, parameter := range o.Parameters {
		p := parameter.Value
		switch {
		case p == nil || !p.Required:
		case p.In == openapi3.ParameterInQuery:
			value := example(p)
			if value == nil {
				return "", fmt.Sprintf("the contract has no example for the required parameter %s", p.Name)
			}
			values.Set(p.Name, fmt.Sprint(value))
		case p.In == openapi3.ParameterInHeader:
			// OpenAPI has other places for these.
			ignored := slices.Contains([]string{"Accept", "Authorization", "Content-Type"}, http.CanonicalHeaderKey(p.Name))
			if !ignored && s.header.Get(p.Name) == "" {
				return "", fmt.Sprintf("ACCEPTANCE_HEADERS does not have the required header %s", p.Name)
			}
		}
	}
	if len(values) > 0 {
		query = "?" + values.Encode()
	}
	return query, ""
}

// example returns the first value that the contract has for a parameter, nil if there is none.
func example(p *openapi3.Parameter) any {
	values := []any{p.Example}
	for _, name := range slices.Sorted(maps.Keys(p.Examples)) {
		if e := p.Examples[name].Value; e != nil {
			values = append(values, e.Value)
		}
	}
	if p.Schema != nil && p.Schema.Value != nil {
		values = append(append(values, p.Schema.Value.Example, p.Schema.Value.Default), p.Schema.Value.Enum...)
	}
	for _, value := range values {
		switch value.(type) {
		case string, bool, float64, int:
			return value
		}
	}
	return nil
}

// body returns the given body of the operation, if there is one.
func (s *service) body(o operation) (body []byte, given bool, err error) {
	if s.bodies == "" || o.OperationID == "" {
		return nil, false, nil
	}
	body, err = os.ReadFile(filepath.Join(s.bodies, o.OperationID+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if o.RequestBody == nil {
		body = nil
	}
	return body, err == nil, err
}

// forbidden returns a body that the operation's schema refuses, nil if it finds none.
func (s *service) forbidden(o operation) []byte {
	if o.RequestBody == nil {
		return nil
	}
	media := o.RequestBody.Value.Content.Get("application/json")
	if media == nil || media.Schema == nil || media.Schema.Value.VisitJSON([]any{}) == nil {
		return nil
	}
	return []byte("[]")
}

// Requirements for responses besides the contract.
func success(status int) error {
	if status >= 400 {
		return fmt.Errorf("status %d, want success", status)
	}
	return nil
}

func refusal(status int) error {
	if status < 400 || status >= 500 {
		return fmt.Errorf("status %d, want a refusal (4xx)", status)
	}
	return nil
}

// call makes one request and validates the response against the contract.
func (s *service) call(ctx context.Context, o operation, path string, body []byte, want func(status int) error) error {
	response, err := s.send(ctx, o.method, path, body, mediaType(o))
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if err := want(response.StatusCode); err != nil {
		return fmt.Errorf("%w: %.300s", err, text)
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: response.Request, Route: &routers.Route{Spec: s.document, Path: o.path, Method: o.method, Operation: o.Operation}},
		Status:                 response.StatusCode, Header: response.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	input.SetBodyBytes(text)
	if err := openapi3filter.ValidateResponse(ctx, input); err != nil {
		return fmt.Errorf("status %d: %w", response.StatusCode, err)
	}
	if location := response.Header.Get("Location"); response.StatusCode == http.StatusCreated && location != "" {
		s.remember(o.path, response.Request.URL, location)
	}
	switch o.method {
	case http.MethodGet:
		s.working = append(s.working, path)
	case http.MethodDelete:
		// What lay below it is gone, too.
		s.working = slices.DeleteFunc(s.working, func(working string) bool {
			working, _, _ = strings.Cut(working, "?")
			return working == path || strings.HasPrefix(working, path+"/")
		})
	}
	return nil
}

// remember stores the URL of a created resource, for the paths of the contract with its one parameter.
func (s *service) remember(collection string, request *url.URL, location string) {
	u, err := request.Parse(location)
	if err != nil {
		return
	}
	created := u.EscapedPath()
	// Paths of the contract come after the path of the service's URL, which a Location begins with.
	if base, err := url.Parse(s.url); err == nil {
		if rest, ok := strings.CutPrefix(created, base.EscapedPath()); ok && strings.HasPrefix(rest, "/") {
			created = rest
		}
	}
	for _, path := range s.document.Paths.InMatchingOrder() {
		if rest, ok := strings.CutPrefix(path, collection+"/{"); ok && strings.HasSuffix(rest, "}") && !strings.Contains(rest, "/") {
			s.created[path] = created
		}
	}
}

// mediaType returns the JSON that the operation takes.
func mediaType(o operation) string {
	if o.RequestBody != nil {
		for _, name := range slices.Sorted(maps.Keys(o.RequestBody.Value.Content)) {
			if strings.HasSuffix(name, "+json") && o.RequestBody.Value.Content["application/json"] == nil {
				return name
			}
		}
	}
	return "application/json"
}

// send makes one request, with the headers of all requests.
func (s *service) send(ctx context.Context, method, path string, body []byte, mediaType string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = s.header.Clone()
	if r.Host = s.host; s.host == "" {
		r.Host = r.URL.Host
	}
	if body != nil {
		r.Header.Set("Content-Type", mediaType)
	}
	return s.client.Do(r)
}
