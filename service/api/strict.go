package api

import (
	"bytes"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
)

// The contract allows no members that it does not name, and null only for what is nullable. The generated types would
// ignore the former and take the latter as absent; these methods make them strict. Names match exactly, and none may
// come twice (RFC 8259 leaves open what that means, so attackers use it).

// UnmarshalJSON implements [json.Unmarshaler].
func (n *NewOrder) UnmarshalJSON(b []byte) error {
	type plain NewOrder
	return unmarshal(b, (*plain)(n))
}

// UnmarshalJSON implements [json.Unmarshaler].
func (p *OrderPatch) UnmarshalJSON(b []byte) error {
	type plain OrderPatch
	return unmarshal(b, (*plain)(p), "/note")
}

// BodyError says which part of a body is wrong, as a JSON pointer, and why.
type BodyError struct {
	Pointer, Message string
}

func (e *BodyError) Error() string {
	if e.Pointer == "" {
		return e.Message
	}
	return e.Pointer + " " + e.Message
}

func unmarshal(b []byte, into any, nullable ...jsontext.Pointer) error {
	if err := refuseNull(b, nullable); err != nil {
		return err
	}
	err := json.Unmarshal(b, into, json.RejectUnknownMembers(true))
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &semantic) && errors.Is(err, json.ErrUnknownName):
		return &BodyError{string(semantic.JSONPointer), "is not known"}
	case errors.As(err, &semantic):
		return &BodyError{string(semantic.JSONPointer), "has the wrong type"}
	}
	return err
}

func refuseNull(b []byte, nullable []jsontext.Pointer) error {
	d := jsontext.NewDecoder(bytes.NewReader(b))
	for {
		token, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return syntaxError(err)
		}
		if token.Kind() != 'n' {
			continue
		}
		at := d.StackPointer()
		allowed := false
		for _, p := range nullable {
			allowed = allowed || p == at
		}
		if !allowed {
			return &BodyError{string(at), "must not be null"}
		}
	}
}

// CheckOne reports whether b is one JSON value and nothing else; a decoder would not look at what comes after.
func CheckOne(b []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(b))
	if _, err := d.ReadValue(); err != nil {
		return syntaxError(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return &BodyError{"", fmt.Sprintf("there is something after the JSON value, at byte %d", d.InputOffset())}
	}
	return nil
}

func syntaxError(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &BodyError{"", "the JSON value is not complete"}
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntactic):
		return &BodyError{string(syntactic.JSONPointer), "comes twice"}
	case errors.As(err, &syntactic):
		return &BodyError{"", fmt.Sprintf("the body is not valid JSON at byte %d", syntactic.ByteOffset)}
	}
	return err
}
