// Package trace records what happens to a share of the requests, and sends it by the OpenTelemetry protocol (OTLP over
// HTTP, in JSON). Contexts come and go as W3C Trace Context.
//
// It is here, and not the OpenTelemetry SDK with its exporter, because those would add 8 MB to the program, more than
// either database, and 10 µs to every request, recorded or not. What is not recorded costs two random numbers here.
package trace

import (
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strings"
)

// Context names a span, and says whether it is recorded.
type Context struct {
	TraceID [16]byte
	SpanID  [8]byte
	Sampled bool
	State   string // what other vendors pass on (tracestate)
}

// Valid reports whether c names a span: neither id is zero.
func (c Context) Valid() bool { return c.TraceID != [16]byte{} && c.SpanID != [8]byte{} }

// The form of a traceparent of version 00: 00-TRACE-SPAN-FLAGS.
const (
	versionEnd = 2
	traceEnd   = versionEnd + 1 + 32
	spanEnd    = traceEnd + 1 + 16
	flagsEnd   = spanEnd + 1 + 2
)

// maxState bounds the tracestate that is passed on, in bytes (W3C Trace Context, 3.3.1.5).
const maxState = 512

// Extract returns the context that a request brings along; the zero one when it brings none, or a malformed one.
func Extract(h http.Header) Context {
	parent := h.Get("Traceparent")
	if len(parent) < flagsEnd || parent[versionEnd] != '-' || parent[traceEnd] != '-' || parent[spanEnd] != '-' ||
		parent != strings.ToLower(parent) {
		return Context{}
	}
	version := parent[:versionEnd]
	// A later version may have more after the flags; version ff is none.
	if version == "ff" || version == "00" && len(parent) != flagsEnd || len(parent) > flagsEnd && parent[flagsEnd] != '-' {
		return Context{}
	}
	var c Context
	var first, flags [1]byte
	for _, part := range []struct {
		to   []byte
		from string
	}{{first[:], version}, {c.TraceID[:], parent[versionEnd+1 : traceEnd]}, {c.SpanID[:], parent[traceEnd+1 : spanEnd]},
		{flags[:], parent[spanEnd+1 : flagsEnd]}} {
		if _, err := hex.Decode(part.to, []byte(part.from)); err != nil {
			return Context{}
		}
	}
	if !c.Valid() {
		return Context{}
	}
	c.Sampled = flags[0]&1 == 1
	if state := strings.Join(h.Values("Tracestate"), ","); len(state) <= maxState {
		c.State = state
	}
	return c
}

// Inject adds the context to a request.
func (c Context) Inject(h http.Header) {
	if !c.Valid() {
		return
	}
	flags := "-00"
	if c.Sampled {
		flags = "-01"
	}
	h.Set("Traceparent", "00-"+c.Trace()+"-"+hex.EncodeToString(c.SpanID[:])+flags)
	if c.State != "" {
		h.Set("Tracestate", c.State)
	}
}

// Trace is the trace's id as logs show it.
func (c Context) Trace() string { return hex.EncodeToString(c.TraceID[:]) }

func newTraceID() (id [16]byte) {
	for id == [16]byte{} {
		put(id[:8], rand.Uint64()) // #nosec G404 -- a name, not a secret
		put(id[8:], rand.Uint64()) // #nosec G404 -- as above
	}
	return id
}

func newSpanID() (id [8]byte) {
	for id == [8]byte{} {
		put(id[:], rand.Uint64()) // #nosec G404 -- as above
	}
	return id
}

func put(b []byte, n uint64) {
	for i := range b {
		b[i] = byte(n >> (8 * i)) // #nosec G115 -- the lowest byte is wanted
	}
}
