package yamltree

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

var errDate = errors.New("an unquoted date is not allowed: put it in quotes")

// resolve returns the kind and the canonical text of a plain scalar.
func resolve(s string) (Kind, string, error) {
	if s == "" {
		return Null, "", nil
	}
	switch c := s[0]; {
	case c >= '0' && c <= '9', c == '+', c == '-', c == '.', c == ':':
		return resolveNumeric(s)
	case len(s) > 5:
		return String, s, nil
	}
	switch strings.ToLower(s) {
	case "~", "null":
		return Null, "", nil
	case "yes", "true", "on":
		return Bool, "true", nil
	case "no", "false", "off":
		return Bool, "false", nil
	}
	return String, s, nil
}

func resolveNumeric(s string) (Kind, string, error) {
	if isDate(s) {
		return String, s, errDate
	}
	switch strings.ToLower(s) {
	case ".inf", "+.inf":
		return Float, "Infinity", nil
	case "-.inf":
		return Float, "-Infinity", nil
	case ".nan":
		return Float, "NaN", nil
	}
	if s[0] == ':' {
		return symbol(s)
	}
	if n, ok := sexagesimal(s); ok {
		return Int, n, nil
	}
	if base60Float().MatchString(s) {
		return Float, sexagesimalFloat(s), nil
	}
	if s == "." || s == "+." || s == "-." {
		return String, s, nil
	}
	if emptyFloat().MatchString(s) {
		return String, s, fmt.Errorf("%s is not a valid number: put it in quotes", s)
	}
	if f, ok := float(s); ok {
		return Float, f, nil
	}
	if n, ok := integer(s); ok {
		return Int, n, nil
	}
	if emptyInteger().MatchString(s) {
		return String, s, fmt.Errorf("%s is not a valid number: put it in quotes", s)
	}
	return String, s, nil
}

// resolveTagged returns the kind and the canonical text of a scalar with a tag. As in Psych, quotes do not matter then, and
// most tags mean nothing: the text counts.
func resolveTagged(tag, s string) (Kind, string, error) {
	switch {
	case tag == "!!str" || tag == "!str":
		return String, s, nil
	case strings.HasPrefix(tag, "!ruby/sym"):
		return String, s, nil
	case tag == "!!binary" || tag == "!binary":
		return String, unpackBase64(s), nil
	case tag == "!!float" || tag == "!float":
		return taggedFloat(s)
	}
	return resolve(s)
}

// Tags of which Psych makes objects of classes that its safe mode refuses, or on which it fails.
var (
	scalarClass   = lazyregexp.New(`^!(ruby/(object:(BigDecimal|DateTime|Complex|Rational)|encoding|class|module|regexp|range|string:.+)|str:.+)$`)
	sequenceClass = lazyregexp.New(`^!(seq|ruby/array):.`)
	mappingClass  = lazyregexp.New(`^!(!?(set|omap|str)$|(str|map):|ruby/(struct|object|exception|string|range$|(array|hash|marshalable):))`)
)

// forbiddenTag reports whether Psych's safe mode refuses a tag, or fails on it.
func forbiddenTag(tag string, kind yaml.Kind) bool {
	switch kind {
	case yaml.ScalarNode:
		return scalarClass().MatchString(tag)
	case yaml.SequenceNode:
		return sequenceClass().MatchString(tag)
	}
	return tag != "!ruby/object:Hash" && mappingClass().MatchString(tag)
}

func taggedFloat(s string) (Kind, string, error) {
	kind, text, err := resolve(s)
	if err != nil {
		return kind, text, err
	}
	switch kind {
	case Float:
		return kind, text, nil
	case Int, String:
		if f, err := strconv.ParseFloat(strings.TrimSpace(strings.ReplaceAll(text, "_", "")), 64); err == nil || math.IsInf(f, 0) {
			return Float, FormatFloat(f), nil
		}
	}
	return kind, text, fmt.Errorf("%q is not a number", s)
}

// unpackBase64 decodes as Ruby's unpack("m"), which skips what is not of the alphabet and stops at the padding.
func unpackBase64(s string) string {
	s, _, _ = strings.Cut(s, "=")
	s = strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '+' || r == '/' {
			return r
		}
		return -1
	}, s)
	if len(s)%4 == 1 {
		s = s[:len(s)-1]
	}
	text, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(text)
}

// symbol reads ":name", a Ruby symbol; see [Node.Symbol].
func symbol(s string) (Kind, string, error) {
	name := s[1:]
	if name == "" {
		return String, s, nil
	}
	if len(name) > 1 && (name[0] == '"' || name[0] == '\'') {
		if end := strings.LastIndexByte(name[1:], name[0]); end >= 0 {
			name = name[1 : end+1]
		}
	}
	return String, name, nil
}

// date is what Psych makes a Date of, a class that GitLab's safe mode refuses before it looks whether there is such a day.
var date = lazyregexp.New(`^\d{4}-(?:1[012]|0\d|\d)-(?:[12]\d|3[01]|0\d|\d)$`)

// isDate reports whether Psych would make a Date or a Time of s.
func isDate(s string) bool {
	t := strings.TrimPrefix(s, "-")
	if len(t) < 8 || t[4] != '-' {
		return false
	}
	if date().MatchString(s) {
		return true
	}
	if !allDigits(t[:4]) {
		return false
	}
	rest := t[5:]
	i := strings.IndexAny(rest, "Tt \t")
	if i < 0 {
		return false
	}
	m, d, ok := strings.Cut(rest[:i], "-")
	return ok && len(m) <= 2 && len(d) <= 2 && allDigits(m) && allDigits(d) && isClock(strings.TrimLeft(rest[i+1:], " \t"))
}

// isClock matches "1:02:03", with a fraction and a zone if there are any.
func isClock(s string) bool {
	parts := strings.SplitN(s, ":", 3)
	if len(parts) != 3 || len(parts[0]) > 2 || !allDigits(parts[0]) || len(parts[1]) != 2 || !allDigits(parts[1]) {
		return false
	}
	seconds := parts[2]
	if len(seconds) < 2 || !allDigits(seconds[:2]) {
		return false
	}
	zone := seconds[2:]
	if strings.HasPrefix(zone, ".") {
		zone = strings.TrimLeft(zone[1:], "0123456789")
	}
	zone = strings.TrimLeft(zone, " \t")
	if zone == "" || zone == "Z" {
		return true
	}
	return (zone[0] == '+' || zone[0] == '-') && strings.Trim(zone[1:], "0123456789:") == ""
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// sexagesimal reads "1:30" or "1:30:00" as Psych does, which counts both parts of "1:30" the weights of "1:30:00".
func sexagesimal(s string) (string, bool) {
	body := strings.TrimLeft(s, "+-")
	if len(s)-len(body) > 1 {
		return "", false
	}
	parts := strings.Split(body, ":")
	if len(parts) < 2 || len(parts) > 3 || !digitsWith(parts[0], "_") {
		return "", false
	}
	sum := 0
	weights := [...]int{3600, 60, 1}
	for i, part := range parts {
		if i > 0 && (len(part) == 0 || len(part) > 2 || !allDigits(part) || len(part) == 2 && part[0] > '5') {
			return "", false
		}
		n, err := strconv.Atoi(strings.ReplaceAll(part, "_", ""))
		if err != nil || n > math.MaxInt32 {
			return "", false
		}
		if i == 0 && s[0] == '-' {
			n = -n
		}
		sum += n * weights[i]
	}
	return strconv.Itoa(sum), true
}

var base60Float = lazyregexp.New(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9]){1,2}\.[0-9_]*$`)

// sexagesimalFloat reads "1:30.5", with the weights of [sexagesimal].
func sexagesimalFloat(s string) string {
	sum := 0.0
	for i, part := range strings.Split(s, ":") {
		n, err := strconv.ParseFloat(strings.TrimSuffix(strings.ReplaceAll(part, "_", ""), "."), 64)
		if err != nil {
			n = 0
		}
		sum += n * math.Pow(60, float64(2-i))
	}
	return FormatFloat(sum)
}

// emptyFloat is an exponent without a number, which Psych takes for a number but Ruby cannot read.
var emptyFloat = lazyregexp.New(`^[-+]?\.[eE][+-][0-9]+$`)

// emptyInteger is a base without digits, which Psych takes for a number but Ruby cannot read.
var emptyInteger = lazyregexp.New(`^[-+]?0[xb][_,]+$`)

// digitsWith reports whether s begins with a digit and has only digits and separators.
func digitsWith(s, separators string) bool {
	return s != "" && s[0] >= '0' && s[0] <= '9' && strings.Trim(s, "0123456789"+separators) == ""
}

// float reads Psych's floats, which need a point and, in an exponent, a sign: "1e3" is a string.
func float(s string) (string, bool) {
	body := s
	if body[0] == '+' || body[0] == '-' {
		body = body[1:]
	}
	whole, fraction, ok := strings.Cut(body, ".")
	if !ok || whole != "" && !digitsWith(whole, "_,") {
		return "", false
	}
	digits := fraction
	if i := strings.IndexAny(fraction, "eE"); i >= 0 {
		exponent := fraction[i+1:]
		if exponent == "" || exponent[0] != '+' && exponent[0] != '-' || !allDigits(exponent[1:]) {
			return "", false
		}
		digits = fraction[:i]
	}
	if digits != "" && !allDigits(digits) || whole == "" && digits == "" {
		return "", false
	}
	v, err := strconv.ParseFloat(withoutSeparators(s), 64)
	if err != nil && !math.IsInf(v, 0) {
		return "", false
	}
	return FormatFloat(v), true
}

// FormatFloat writes a number as Ruby's Float#to_s does.
func FormatFloat(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	case math.IsNaN(v):
		return "NaN"
	}
	if a := math.Abs(v); v == 0 || a >= 1e-4 && a < 1e15 {
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	return mantissa + "e" + exponent
}

// separatesDigits reports whether a digit follows each separator.
func separatesDigits(s string) bool {
	for i := range len(s) {
		if (s[i] == '_' || s[i] == ',') && (i+1 == len(s) || s[i+1] == '_' || s[i+1] == ',') {
			return false
		}
	}
	return true
}

func withoutSeparators(s string) string {
	if !strings.ContainsAny(s, "_,") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "_", ""), ",", "")
}

func integer(s string) (string, bool) {
	sign, body := "", s
	if body[0] == '+' || body[0] == '-' {
		if body[0] == '-' {
			sign = "-"
		}
		body = body[1:]
	}
	if body == "" {
		return "", false
	}
	clean := withoutSeparators(body)
	base, digits := 10, clean
	switch {
	case strings.HasPrefix(body, "0b"):
		base, digits = 2, clean[2:]
	case strings.HasPrefix(body, "0x"):
		base, digits = 16, clean[2:]
	case body[0] == '0' && len(body) > 1:
		base, digits = 8, clean[1:]
	default:
		if !digitsWith(body, "_,") || !separatesDigits(body) {
			return "", false
		}
	}
	if digits == "" || digits[0] == '+' || digits[0] == '-' {
		return "", false
	}
	if n, err := strconv.ParseUint(digits, base, 63); err == nil {
		if n == 0 {
			sign = ""
		}
		return sign + strconv.FormatUint(n, 10), true
	}
	n, ok := new(big.Int).SetString(digits, base)
	if !ok {
		return "", false
	}
	if n.Sign() == 0 {
		sign = ""
	}
	return sign + n.String(), true
}
