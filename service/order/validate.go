package order

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bojanz/currency"
)

// The limits of an order; the contract (openapi.yaml) states the same, and a test compares.
const (
	maxItems     = 100
	maxQuantity  = 10_000
	maxUnitPrice = 1_000_000_000
	maxNote      = 1000 // characters
)

// names are the characters of names; customers may also have @ and +.
const names = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

// consists reports whether s has least to most characters, all of them in set.
func consists(s, set string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, set) == ""
}

// FieldError is a problem of one field.
type FieldError struct{ Field, Message string }

// InvalidError lists all problems of a request.
type InvalidError struct{ Fields []FieldError }

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + ": " + f.Message
	}
	return strings.Join(parts, "; ")
}

// Invalid is an [InvalidError] about one field.
func Invalid(field, message string) *InvalidError {
	return &InvalidError{Fields: []FieldError{{field, message}}}
}

func (o Order) validate() error {
	var bad []FieldError
	check := func(ok bool, field, message string, args ...any) {
		if !ok {
			bad = append(bad, FieldError{field, fmt.Sprintf(message, args...)})
		}
	}
	check(consists(o.Customer, names+"@+", 1, 100), "customer", "must be 1 to 100 letters, digits or @._+-")
	check(o.Currency != "" && currency.IsValid(o.Currency), "currency", "must be the code of a currency in use (ISO 4217), as EUR")
	check(utf8.RuneCountInString(o.Note) <= maxNote, "note", "must have at most %d characters", maxNote)
	check(!strings.ContainsRune(o.Note, 0), "note", "must not contain U+0000")
	check(len(o.Items) >= 1 && len(o.Items) <= maxItems, "items", "must have 1 to %d entries", maxItems)
	for i, item := range o.Items {
		at := func(name string) string { return fmt.Sprintf("items[%d].%s", i, name) }
		check(consists(item.SKU, names, 1, 64), at("sku"), "must be 1 to 64 letters, digits or ._-")
		check(item.Quantity >= 1 && item.Quantity <= maxQuantity, at("quantity"), "must be between 1 and %d", maxQuantity)
		check(item.UnitPrice >= 0 && item.UnitPrice <= maxUnitPrice, at("unit_price"), "must be between 0 and %d", maxUnitPrice)
	}
	if bad != nil {
		return &InvalidError{bad}
	}
	return nil
}
