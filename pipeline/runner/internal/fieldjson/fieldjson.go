// Package fieldjson writes and reads values as JSON by their exported fields alone. A type's own MarshalJSON, which may
// write another form for other readers, is ignored, so that what was written can be read again. Nil and empty slices and
// maps stay apart, errors keep their texts.
package fieldjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

var (
	errorType = reflect.TypeFor[error]()
	timeType  = reflect.TypeFor[time.Time]()
)

// Marshal gives the JSON of a value's exported fields, under their names in Go.
func Marshal(value any) ([]byte, error) {
	tree, err := encode(reflect.ValueOf(value))
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(tree, "", "\t")
}

func encode(v reflect.Value) (any, error) {
	switch v.Kind() {
	case reflect.Invalid:
		return nil, nil
	case reflect.Interface:
		if v.IsNil() {
			return nil, nil
		}
		if v.Type() == errorType {
			return v.Interface().(error).Error(), nil
		}
		return encode(v.Elem())
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return encode(v.Elem())
	case reflect.Slice:
		if v.IsNil() {
			return nil, nil
		}
		list := make([]any, v.Len())
		for i := range list {
			var err error
			if list[i], err = encode(v.Index(i)); err != nil {
				return nil, err
			}
		}
		return list, nil
	case reflect.Map:
		if v.IsNil() {
			return nil, nil
		}
		object := make(map[string]any, v.Len())
		for key, element := range v.Seq2() {
			encoded, err := encode(element)
			if err != nil {
				return nil, err
			}
			object[fmt.Sprint(key)] = encoded
		}
		return object, nil
	case reflect.Struct:
		if v.Type() == timeType {
			return v.Interface(), nil
		}
		object := map[string]any{}
		for field, value := range fields(v) {
			encoded, err := encode(value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", field, err)
			}
			if encoded != nil && !value.IsZero() {
				object[field] = encoded
			}
		}
		return object, nil
	case reflect.String:
		return v.String(), nil
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return v.Interface(), nil
	default:
		return nil, fmt.Errorf("a %s has no JSON form", v.Type())
	}
}

// fields gives the exported fields of a struct.
func fields(v reflect.Value) func(yield func(string, reflect.Value) bool) {
	return func(yield func(string, reflect.Value) bool) {
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && !yield(f.Name, v.Field(i)) {
				return
			}
		}
	}
}

// Unmarshal reads what [Marshal] wrote into the value that into points at.
func Unmarshal(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	// A duration has more digits than a float64.
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return err
	}
	return decode(tree, reflect.ValueOf(into).Elem())
}

func decode(tree any, v reflect.Value) error {
	if tree == nil {
		v.SetZero()
		return nil
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.Type() == errorType {
			text, ok := tree.(string)
			if !ok {
				return mismatch(tree, v)
			}
			v.Set(reflect.ValueOf(errors.New(text)))
			return nil
		}
		if v.NumMethod() != 0 {
			return mismatch(tree, v)
		}
		v.Set(reflect.ValueOf(plain(tree)))
		return nil
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decode(tree, v.Elem())
	case reflect.Slice:
		list, ok := tree.([]any)
		if !ok {
			return mismatch(tree, v)
		}
		v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
		for i, element := range list {
			if err := decode(element, v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		object, ok := tree.(map[string]any)
		if !ok || v.Type().Key().Kind() != reflect.String {
			return mismatch(tree, v)
		}
		v.Set(reflect.MakeMapWithSize(v.Type(), len(object)))
		for key, element := range object {
			value := reflect.New(v.Type().Elem()).Elem()
			if err := decode(element, value); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
		}
		return nil
	case reflect.Struct:
		if v.Type() == timeType {
			break
		}
		object, ok := tree.(map[string]any)
		if !ok {
			return mismatch(tree, v)
		}
		for field, value := range fields(v) {
			if err := decode(object[field], value); err != nil {
				return fmt.Errorf("%s: %w", field, err)
			}
		}
		return nil
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v.Addr().Interface())
}

// plain makes of what has no type in Go the values that YAML gives: integers where they are integers.
func plain(tree any) any {
	switch t := tree.(type) {
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return int(n)
		}
		n, _ := t.Float64()
		return n
	case []any:
		for i := range t {
			t[i] = plain(t[i])
		}
	case map[string]any:
		for key := range t {
			t[key] = plain(t[key])
		}
	}
	return tree
}

func mismatch(tree any, v reflect.Value) error {
	return fmt.Errorf("cannot read a %T as a %s", tree, v.Type())
}
