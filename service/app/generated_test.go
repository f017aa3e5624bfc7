package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"gitlab.com/slipway-ci/slipway/service/api"
)

// TestGeneratedRequests sends what follows from the contract to every operation: each parameter and each member of a body at
// its limits, which must succeed, and beyond them, of each wrong type, missing, unknown, which must be refused with a problem
// that names it. The client of the tests validates every answer.
func TestGeneratedRequests(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(api.Contract)
	if err != nil {
		t.Fatal(err)
	}
	onBothStores(t, func(t *testing.T, i *instance) {
		for path, item := range doc.Paths.Map() {
			for method, operation := range item.Operations() {
				t.Run(operation.OperationID, func(t *testing.T) {
					t.Parallel()
					o := &generatedOperation{instance: i, method: strings.ToUpper(method), path: path, spec: operation}
					o.parameters = append(slices.Clone(item.Parameters), operation.Parameters...)
					o.run(t)
				})
			}
		}
	})
}

// valueCase is a value of a parameter or a body, and what it is.
type valueCase struct {
	name  string
	value any
	field string // the JSON pointer to what is wrong with a body; "" when nothing is
}

// generatedOperation is an operation of the contract that requests are generated for.
type generatedOperation struct {
	*instance
	method, path string
	spec         *openapi3.Operation
	parameters   openapi3.Parameters
}

// generatedRequest is a request to an operation; each begins as one that succeeds.
type generatedRequest struct {
	query       url.Values
	header      http.Header
	path        map[string]string
	body        any
	contentType string
}

func (o *generatedOperation) run(t *testing.T) {
	t.Helper()
	success := func(status int) bool { return status < http.StatusBadRequest }
	o.send(t, "the plain request", func(*generatedRequest) {}, success)
	o.send(t, "unknown parameter", func(r *generatedRequest) { r.query.Set("unknown", "1") }, is(http.StatusBadRequest), "unknown")
	for _, p := range o.parameters {
		o.runParameter(t, p.Value)
	}
	if o.spec.RequestBody == nil {
		return
	}
	for mediaType, content := range o.spec.RequestBody.Value.Content {
		valid, invalid := casesOf(content.Schema.Value)
		for _, c := range valid {
			o.send(t, "body: "+c.name, func(r *generatedRequest) { r.body = c.value }, success)
		}
		for _, c := range invalid {
			o.send(t, "body: "+c.name, func(r *generatedRequest) { r.body = c.value }, is(http.StatusUnprocessableEntity), c.field)
		}
		for _, wrong := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/xml", mediaType + "x"} {
			o.send(t, "media type "+wrong, func(r *generatedRequest) { r.contentType = wrong }, is(http.StatusUnsupportedMediaType))
		}
		o.send(t, "media type with a parameter", func(r *generatedRequest) { r.contentType = mediaType + "; charset=utf-8" }, success)
		for _, text := range []string{"", "{", `{"a"}`, "[1,]", "\xff", `{"note":"` + "\x00" + `"}`, `{"note":"a","note":"b"}`, "{} {}"} {
			o.send(t, fmt.Sprintf("body %q", text), func(r *generatedRequest) { r.body = json.RawMessage(text) }, is(http.StatusBadRequest))
		}
	}
}

func is(want int) func(int) bool { return func(status int) bool { return status == want } }

func (o *generatedOperation) runParameter(t *testing.T, p *openapi3.Parameter) {
	t.Helper()
	set := func(text string) func(*generatedRequest) {
		return func(r *generatedRequest) {
			switch p.In {
			case openapi3.ParameterInQuery:
				r.query.Set(p.Name, text)
			case openapi3.ParameterInHeader:
				r.header.Set(p.Name, text)
			case openapi3.ParameterInPath:
				r.path[p.Name] = text
			}
		}
	}
	schema := p.Schema.Value
	if p.In == openapi3.ParameterInPath { // an id that cannot be one names no order
		for _, text := range []string{"1", "not-a-uuid", "%00", "%ff", "01a1fb9a-fe51-73c1-b5e5-35bd9d5446ca"} {
			o.send(t, p.Name+"="+text, set(text), is(http.StatusNotFound))
		}
		return
	}
	free := schema.Pattern == "" && schema.MinLength == 0 && schema.Enum == nil && schema.Format == "" && !schema.Type.Is("integer")
	if free {
		return // any text is valid by the contract; what it means is tested with the operation
	}
	valid, invalid := casesOf(schema)
	for _, c := range valid {
		if p.Name == "cursor" {
			continue // only the service makes those
		}
		o.send(t, p.Name+": "+c.name, set(fmt.Sprint(c.value)), func(status int) bool { return status < http.StatusBadRequest })
	}
	for _, c := range invalid {
		text, ok := c.value.(string)
		if number, isNumber := c.value.(float64); isNumber && schema.Type.Is("integer") {
			text, ok = fmt.Sprint(number), true
		}
		if !ok || !sendable(p, text) {
			continue
		}
		o.send(t, p.Name+": "+c.name, set(text), is(http.StatusBadRequest), p.Name)
	}
	for _, text := range []string{"\x00", "\xff", "a\nb"} {
		if !sendable(p, text) {
			continue
		}
		o.send(t, fmt.Sprintf("%s=%q", p.Name, text), set(text), is(http.StatusBadRequest), p.Name)
	}
	if p.In == openapi3.ParameterInQuery {
		o.send(t, p.Name+" twice", func(r *generatedRequest) {
			r.query[p.Name] = []string{fmt.Sprint(valid[0].value), fmt.Sprint(valid[0].value)}
		}, is(http.StatusBadRequest), p.Name)
	}
}

// sendable reports whether a request can have the parameter with this text: headers have no control characters, and spaces
// around their values mean nothing.
func sendable(p *openapi3.Parameter, text string) bool {
	return p.In != openapi3.ParameterInHeader || text != "" && strings.TrimSpace(text) == text && !strings.ContainsAny(text, "\x00\n")
}

// send makes a request to the operation, changed in one thing, and checks the answer and, for refusals, which field it names.
func (o *generatedOperation) send(t *testing.T, name string, change func(*generatedRequest), want func(int) bool, field ...string) {
	t.Helper()
	r := &generatedRequest{query: url.Values{}, header: http.Header{}, path: map[string]string{"id": o.place(t).Id}}
	if o.spec.RequestBody != nil {
		for mediaType, content := range o.spec.RequestBody.Value.Content {
			r.contentType, r.body = mediaType, exampleOf(content.Schema.Value)
		}
	}
	if o.method == http.MethodPatch {
		r.header.Set("If-Match", "*")
	}
	change(r)
	target := o.path
	for parameter, value := range r.path {
		target = strings.Replace(target, "{"+parameter+"}", value, 1)
	}
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	text := ""
	if raw, ok := r.body.(json.RawMessage); ok {
		text = string(raw)
	} else if r.contentType != "" || r.body != nil {
		b, err := json.Marshal(r.body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	headers := []string{"Content-Type", r.contentType}
	for header, values := range r.header {
		headers = append(headers, header, values[0])
	}
	a := o.do(t, o.method, target, text, headers...)
	if !want(a.status) {
		t.Errorf("%s: %s %s %.300s: %d %s", name, o.method, target, text, a.status, a.body)
		return
	}
	if len(field) > 0 && field[0] != "" {
		p := a.problem(t)
		if p.Errors == nil || !slices.ContainsFunc(*p.Errors, func(e struct {
			Field   string `json:"field"`
			Message string `json:"message"`
		},
		) bool {
			return e.Field == field[0]
		}) {
			t.Errorf("%s: %.300s: the problem does not name %s: %s", name, text, field[0], a.body)
		}
	}
}

// exampleOf returns a valid value: the schema's example, or the least that it allows.
func exampleOf(s *openapi3.Schema) any {
	switch {
	case s.Example != nil:
		return s.Example
	case s.Enum != nil:
		return s.Enum[0]
	case s.Type.Is("object"):
		value := map[string]any{}
		for _, name := range s.Required {
			value[name] = exampleOf(s.Properties[name].Value)
		}
		return value
	case s.Type.Is("array"):
		return slices.Repeat([]any{exampleOf(s.Items.Value)}, int(max(s.MinItems, 1))) // #nosec G115 -- of our own contract
	case s.Type.Is("integer"):
		if s.Min != nil {
			return *s.Min
		}
		return 1.
	case s.Format == "date-time":
		return "2030-01-02T12:00:00Z"
	}
	return textOf(s, max(s.MinLength, 1))
}

// textOf returns a text of this length of one character that the schema's pattern allows; "" if there is none.
func textOf(s *openapi3.Schema, length uint64) string {
	for _, c := range []string{"a", "A", "1", "ü"} {
		text := strings.Repeat(c, int(length)) // #nosec G115 -- of our own contract
		if s.Pattern == "" || openapi3.NewStringSchema().WithPattern(s.Pattern).VisitJSON(text) == nil {
			return text
		}
	}
	return ""
}

// wrongTypes are values of each type.
var wrongTypes = []valueCase{{"null", nil, ""}, {"a boolean", true, ""}, {"a number", 1., ""}, {"a text", "1x", ""}, {"a list", []any{}, ""}, {"an object", map[string]any{}, ""}}

func (c valueCase) isOf(s *openapi3.Schema) bool {
	switch c.value.(type) {
	case nil:
		return s.Nullable
	case float64:
		return s.Type.Is("integer") || s.Type.Is("number")
	case string:
		return s.Type.Is("string")
	case []any:
		return s.Type.Is("array")
	case map[string]any:
		return s.Type.Is("object")
	}
	return s.Type.Is("boolean")
}

// casesOf returns values that the schema allows, at its limits, and those that it does not, each wrong in one place.
func casesOf(s *openapi3.Schema) (valid, invalid []valueCase) {
	valid = append(valid, valueCase{"an example", exampleOf(s), ""})
	for _, c := range wrongTypes {
		if !c.isOf(s) {
			invalid = append(invalid, c)
		}
	}
	add := func(ok bool, name string, value any) {
		if ok {
			valid = append(valid, valueCase{name, value, ""})
		} else {
			invalid = append(invalid, valueCase{name, value, ""})
		}
	}
	if s.Nullable {
		add(true, "null", nil)
	}
	switch {
	case s.Type.Is("object"):
		objectCases(s, &valid, &invalid)
	case s.Type.Is("array"):
		arrayCases(s, &valid, &invalid)
	case s.Type.Is("integer"):
		add(false, "a fraction", 1.5)
		if s.Min != nil {
			add(true, "the least", *s.Min)
			add(false, "less than the least", *s.Min-1)
		}
		if s.Max != nil {
			add(true, "the most", *s.Max)
			add(false, "more than the most", *s.Max+1)
		}
		add(false, "more than 64 bits", 1e30)
	case s.Enum != nil:
		for _, value := range s.Enum {
			add(true, fmt.Sprint(value), value)
		}
		add(false, "not in the list", "unknown")
		add(false, "in other letters", strings.ToUpper(fmt.Sprint(s.Enum[0])))
	case s.Format == "date-time":
		add(true, "with an offset", "2030-01-02T12:00:00.123456+01:00")
		for _, text := range []string{"yesterday", "2030-01-02", "2030-13-02T12:00:00Z", "2030-01-02T12:00:00"} {
			add(false, "not a time", text)
		}
	default:
		textCases(s, add)
	}
	return valid, invalid
}

func textCases(s *openapi3.Schema, add func(ok bool, name string, value any)) {
	if s.Example == nil && s.MinLength > 0 {
		add(true, "the shortest", textOf(s, s.MinLength))
	}
	if s.MinLength > 0 || s.Pattern != "" {
		add(false, "too short", "")
	}
	if s.MaxLength != nil {
		add(true, "the longest", textOf(s, *s.MaxLength))
		add(false, "too long", textOf(s, *s.MaxLength+1))
	}
	if s.Pattern != "" {
		for _, text := range []string{" ", "\n", "a b", "ü", "a\n", "\x00"} {
			add(false, fmt.Sprintf("%q, which the pattern does not allow", text), text)
		}
	}
}

func objectCases(s *openapi3.Schema, valid, invalid *[]valueCase) {
	with := func(name string, value any) map[string]any {
		o := maps.Clone(exampleOf(s).(map[string]any))
		o[name] = value
		return o
	}
	for _, name := range s.Required {
		o := maps.Clone(exampleOf(s).(map[string]any))
		delete(o, name)
		*invalid = append(*invalid, valueCase{"without " + name, o, "/" + name})
	}
	if s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has {
		*invalid = append(*invalid, valueCase{"an unknown member", with("unknown", 1), ""})
	}
	for name, property := range s.Properties {
		good, bad := casesOf(property.Value)
		for _, c := range good {
			*valid = append(*valid, valueCase{name + ": " + c.name, with(name, c.value), ""})
		}
		for _, c := range bad {
			*invalid = append(*invalid, valueCase{name + ": " + c.name, with(name, c.value), "/" + name + c.field})
		}
	}
}

func arrayCases(s *openapi3.Schema, valid, invalid *[]valueCase) {
	item := exampleOf(s.Items.Value)
	of := func(n uint64) []any { return slices.Repeat([]any{item}, int(n)) } // #nosec G115 -- of our own contract
	if s.MinItems > 0 {
		*valid = append(*valid, valueCase{"the fewest", of(s.MinItems), ""})
		*invalid = append(*invalid, valueCase{"too few", of(s.MinItems - 1), ""})
	}
	if s.MaxItems != nil {
		*valid = append(*valid, valueCase{"the most", of(*s.MaxItems), ""})
		*invalid = append(*invalid, valueCase{"too many", of(*s.MaxItems + 1), ""})
	}
	good, bad := casesOf(s.Items.Value)
	for _, c := range good {
		*valid = append(*valid, valueCase{"item: " + c.name, []any{item, c.value}, ""})
	}
	for _, c := range bad {
		*invalid = append(*invalid, valueCase{"item: " + c.name, []any{item, c.value}, "/1" + c.field})
	}
}
