package api

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
)

// maxViolations bounds how many violations one response lists.
const maxViolations = 20

// Violation is a part of a request that the contract does not allow.
type Violation struct {
	Field   string // a JSON pointer into the body, or the name of a parameter
	Message string
}

// BodyError reports that a body is not valid JSON, or does not satisfy its schema; in that case it lists the violations.
type BodyError struct {
	Syntax     string // what is wrong with the JSON
	Violations []Violation
}

func (e *BodyError) Error() string {
	if e.Syntax != "" {
		return e.Syntax
	}
	return violationText(e.Violations)
}

// ParameterError reports a query parameter or header that does not satisfy its schema.
type ParameterError Violation

func (e *ParameterError) Error() string { return "the parameter " + e.Field + " " + e.Message }

func violationText(violations []Violation) string {
	texts := make([]string, len(violations))
	for i, v := range violations {
		texts[i] = strings.TrimSpace(v.Field + " " + v.Message)
	}
	return strings.Join(texts, "; ")
}

// CheckBody returns a [BodyError] unless the body is one JSON value that satisfies the operation's schema. Duplicate
// names are refused: RFC 8259 does not define them, so parsers disagree about their value.
func (o *Operation) CheckBody(body []byte) error {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return syntaxError(err)
	}
	err := o.body.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsRequest())
	if err == nil {
		return nil
	}
	violations := violationsOf(err)
	slices.SortFunc(violations, func(a, b Violation) int { return strings.Compare(a.Field, b.Field) })
	return &BodyError{Violations: violations[:min(len(violations), maxViolations)]}
}

func syntaxError(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &BodyError{Syntax: "the JSON value is not complete"}
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntactic):
		return &BodyError{Syntax: string(syntactic.JSONPointer) + " is present twice"}
	case errors.As(err, &syntactic):
		return &BodyError{Syntax: fmt.Sprintf("the body is not valid JSON at byte %d", syntactic.ByteOffset)}
	}
	return err
}

func violationsOf(err error) []Violation {
	switch e := err.(type) { //nolint:errorlint // errors.As finds the first error of several
	case openapi3.MultiError:
		var all []Violation
		for _, one := range e {
			all = append(all, violationsOf(one)...)
		}
		return all
	case *openapi3.SchemaError:
		return []Violation{{Field: pointer(e.JSONPointer()), Message: e.Reason}}
	}
	return []Violation{{Message: err.Error()}}
}

func pointer(tokens []string) (p string) {
	for _, t := range tokens {
		p += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(t)
	}
	return p
}

// CheckParameters returns a [ParameterError] unless the query parameters and headers satisfy the contract. Unknown
// query parameters are refused; unknown headers are ignored.
func (o *Operation) CheckParameters(query url.Values, header http.Header) error {
	for name, values := range query {
		schema, ok := o.query[name]
		switch {
		case !ok:
			return &ParameterError{name, "is not known"}
		case len(values) > 1:
			return &ParameterError{name, "must be present once"}
		}
		if err := checkParameter(schema, name, values[0]); err != nil {
			return err
		}
	}
	for name, schema := range o.headers {
		if values := header.Values(name); len(values) > 0 {
			if err := checkParameter(schema, name, strings.Join(values, ", ")); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkParameter(schema *openapi3.Schema, name, text string) error {
	var value any = text
	if !utf8.ValidString(text) {
		return &ParameterError{name, "is not valid UTF-8"}
	}
	if schema.Type.Is(openapi3.TypeInteger) {
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return &ParameterError{name, "must be an integer"}
		}
		value = float64(number)
	}
	if err := schema.VisitJSON(value, openapi3.VisitAsRequest()); err != nil {
		return &ParameterError{name, "is not allowed: " + violationsOf(err)[0].Message}
	}
	return nil
}
