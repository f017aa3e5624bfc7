package pipeline

import (
	"bytes"
	"encoding/json"
	"reflect"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// UnmarshalJSON reads a plan that was written by [json.Marshal]; the result equals the plan that was written. Parts of a
// configuration that are kept as written (those of the type any) have an int where a number is an integer, else a float64.
func (p *Plan) UnmarshalJSON(data []byte) error {
	type plain Plan
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode((*plain)(p)); err != nil {
		return err
	}
	plainNumbers(reflect.ValueOf((*plain)(p)))
	return nil
}

// plainInputs returns inputs as values that equal what is read back from their JSON.
func plainInputs(inputs map[string]any) map[string]any {
	if inputs == nil {
		return nil
	}
	n, err := yamltree.FromAny(inputs, yamltree.Position{})
	if err != nil {
		return inputs // the compiler has refused them
	}
	plain, _ := n.Any().(map[string]any)
	return plain
}

var planType = reflect.TypeFor[*Plan]()

// plainNumbers replaces each json.Number below a value. Child plans have had theirs replaced when they were read.
func plainNumbers(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			v.Set(reflect.ValueOf(plainNumber(v.Interface())))
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Type() != planType {
			plainNumbers(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			plainNumbers(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			plainNumbers(v.Index(i))
		}
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.Interface {
			for key, value := range v.Seq2() {
				if !value.IsNil() {
					v.SetMapIndex(key, reflect.ValueOf(plainNumber(value.Interface())))
				}
			}
		}
	}
}

func plainNumber(value any) any {
	switch t := value.(type) {
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return int(n)
		}
		n, _ := t.Float64()
		return n
	case []any:
		for i := range t {
			t[i] = plainNumber(t[i])
		}
	case map[string]any:
		for key := range t {
			t[key] = plainNumber(t[key])
		}
	}
	return value
}
