package trace

import (
	"context"
	"encoding/binary"
	"math"
	"time"
)

// Kind is whose view of a call a span has, in the numbers of OTLP.
type Kind int

// The kinds that the service has.
const (
	Server Kind = 2
	Client Kind = 3
)

// Span is one step of a trace.
type Span struct {
	Context Context
	tracer  *Tracer
	parent  [8]byte
	kind    Kind
	start   time.Time
}

// Record is a span that is over.
type Record struct {
	Context    Context
	Parent     [8]byte
	Kind       Kind
	Name       string
	Start, End time.Time
	Attributes []Attribute
	Error      string // why it failed, "" if it did not
}

// Attribute describes a span; the value is a string or an int.
type Attribute struct {
	Key   string
	Value any
}

type contextKey struct{}

// Key is the key under which a context holds its *Span.
var Key any = contextKey{}

// FromContext returns the span that is under way, nil if there is none.
func FromContext(ctx context.Context) *Span {
	s, _ := ctx.Value(Key).(*Span)
	return s
}

// Begin begins the span of a request that came with a context, maybe none. Without a tracer it begins nothing.
func (t *Tracer) Begin(from Context, kind Kind, start time.Time) Span {
	if t == nil {
		return Span{}
	}
	s := Span{tracer: t, kind: kind, start: start, parent: from.SpanID, Context: from}
	if !from.Valid() {
		s.Context = Context{TraceID: newTraceID()}
		s.parent = [8]byte{}
		s.Context.Sampled = t.sample(s.Context.TraceID)
	}
	s.Context.SpanID = newSpanID()
	return s
}

// Child begins a step within s.
func (s *Span) Child(kind Kind, start time.Time) Span {
	if s == nil {
		return Span{}
	}
	return s.tracer.Begin(s.Context, kind, start)
}

// Recording reports whether End keeps anything; if not, there is no need to collect attributes.
func (s *Span) Recording() bool { return s.tracer != nil && s.Context.Sampled }

// End ends the span; failure is "" for success.
func (s *Span) End(name string, end time.Time, failure string, attributes ...Attribute) {
	if s.Recording() {
		s.tracer.keep(Record{Context: s.Context, Parent: s.parent, Kind: s.kind, Name: name, Start: s.start, End: end,
			Attributes: attributes, Error: failure})
	}
}

// sample decides by the trace's id, so that services with the same ratio decide alike.
func (t *Tracer) sample(id [16]byte) bool {
	if t.ratio >= 1 {
		return true
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < uint64(t.ratio*math.MaxInt64)
}
