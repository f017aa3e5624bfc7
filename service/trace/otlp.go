package trace

import (
	"encoding/hex"
	"encoding/json/v2"
	"strconv"
	"time"
)

// These are the messages of OTLP in its JSON form: names in camel case, ids in hexadecimal, 64-bit integers as strings.

type exportRequest struct {
	ResourceSpans []resourceSpans `json:"resourceSpans"`
}

type resourceSpans struct {
	Resource   resource     `json:"resource"`
	ScopeSpans []scopeSpans `json:"scopeSpans"`
}

type resource struct {
	Attributes []keyValue `json:"attributes"`
}

type scopeSpans struct {
	Scope struct {
		Name string `json:"name"`
	} `json:"scope"`
	Spans []spanMessage `json:"spans"`
}

type spanMessage struct {
	TraceID      string     `json:"traceId"`
	SpanID       string     `json:"spanId"`
	TraceState   string     `json:"traceState,omitzero"`
	ParentSpanID string     `json:"parentSpanId,omitzero"`
	Name         string     `json:"name"`
	Kind         Kind       `json:"kind"`
	Start        string     `json:"startTimeUnixNano"`
	End          string     `json:"endTimeUnixNano"`
	Attributes   []keyValue `json:"attributes,omitempty"`
	Status       status     `json:"status,omitzero"`
}

type status struct {
	Message string `json:"message,omitzero"`
	Code    int    `json:"code,omitzero"`
}

const statusError = 2

type keyValue struct {
	Key   string `json:"key"`
	Value value  `json:"value"`
}

type value struct {
	String string `json:"stringValue,omitzero"`
	Int    string `json:"intValue,omitzero"`
}

func encode(service, version string, batch []Record) ([]byte, error) {
	spans := make([]spanMessage, len(batch))
	for i, r := range batch {
		m := spanMessage{TraceID: r.Context.Trace(), SpanID: hex.EncodeToString(r.Context.SpanID[:]), TraceState: r.Context.State,
			Name: r.Name, Kind: r.Kind, Start: nanos(r.Start), End: nanos(r.End), Attributes: keyValues(r.Attributes)}
		if r.Parent != [8]byte{} {
			m.ParentSpanID = hex.EncodeToString(r.Parent[:])
		}
		if r.Error != "" {
			m.Status = status{Message: r.Error, Code: statusError}
		}
		spans[i] = m
	}
	scope := scopeSpans{Spans: spans}
	scope.Scope.Name = "gitlab.com/slipway-ci/slipway/service"
	return json.Marshal(exportRequest{[]resourceSpans{{
		Resource:   resource{keyValues([]Attribute{{"service.name", service}, {"service.version", version}})},
		ScopeSpans: []scopeSpans{scope},
	}}})
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func keyValues(attributes []Attribute) []keyValue {
	out := make([]keyValue, len(attributes))
	for i, a := range attributes {
		out[i].Key = a.Key
		switch v := a.Value.(type) {
		case int:
			out[i].Value.Int = strconv.Itoa(v)
		case string:
			out[i].Value.String = v
		}
	}
	return out
}
