package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Prefix begins the name of every environment variable of the service.
const Prefix = "ORDERS_"

// setting is one field of a Config.
type setting struct {
	key        string
	value      reflect.Value
	help       string
	fallback   string
	reloadable bool
}

func (s setting) env() string { return Prefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_")) }

func (s setting) secret() bool { return s.value.Type() == reflect.TypeFor[Secret]() }

// settings lists the fields of c.
func settings(c *Config) []setting {
	var all []setting
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			field := v.Type().Field(i)
			key := prefix + field.Tag.Get("key")
			if field.Type.Kind() == reflect.Struct {
				walk(key+".", v.Field(i))
				continue
			}
			all = append(all, setting{key: key, value: v.Field(i), help: field.Tag.Get("help"),
				fallback: field.Tag.Get("default"), reloadable: field.Tag.Get("reload") != ""})
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	return all
}

// set parses text into the field.
func (s setting) set(text string) error {
	wrong := func(want, example string) error { return fmt.Errorf("%q is not %s, as %s", text, want, example) }
	switch p := s.value.Addr().Interface().(type) {
	case *string:
		*p = text
	case *Secret:
		*p = Secret(strings.TrimSpace(text))
	case *[]string:
		*p = nil
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*p = append(*p, item)
			}
		}
	case *bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return wrong("a boolean", "true")
		}
		*p = v
	case *int:
		v, err := strconv.Atoi(text)
		if err != nil {
			return wrong("an integer", "10")
		}
		*p = v
	case *float64:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || v != v {
			return wrong("a number", "0.5")
		}
		*p = v
	case *time.Duration:
		v, err := time.ParseDuration(text)
		if err != nil {
			return wrong("a duration", "5s")
		}
		*p = v
	default:
		panic(fmt.Sprintf("setting %s is of an unknown type %T", s.key, p))
	}
	return nil
}

// text is the field as set would read it; a secret is masked.
func (s setting) text() string {
	if list, ok := s.value.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(s.value.Interface())
}
