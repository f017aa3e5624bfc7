package yamltree

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

var errDate = errors.New("an unquoted date is not allowed: put it in quotes")

// resolve gives the kind and the canonical text of a plain scalar.
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
	if f, ok := float(s); ok {
		return Float, f, nil
	}
	if n, ok := integer(s); ok {
		return Int, n, nil
	}
	return String, s, nil
}

// symbol reads ":name", a Ruby symbol, which everywhere in a configuration behaves like the string "name".
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

// isDate says whether Psych would make a Date or a Time of s, classes that GitLab's safe mode refuses.
func isDate(s string) bool {
	t := strings.TrimPrefix(s, "-")
	if len(t) < 8 || !allDigits(t[:4]) || t[4] != '-' {
		return false
	}
	rest := t[5:]
	day, clock := rest, ""
	if i := strings.IndexAny(rest, "Tt \t"); i >= 0 {
		day, clock = rest[:i], strings.TrimLeft(rest[i+1:], " \t")
	}
	m, d, ok := strings.Cut(day, "-")
	if !ok || len(m) > 2 || len(d) > 2 || !allDigits(m) || !allDigits(d) {
		return false
	}
	if clock == "" {
		if t != s || strings.ContainsAny(rest, "Tt \t") {
			return false
		}
		year, _ := strconv.Atoi(t[:4])
		month, _ := strconv.Atoi(m)
		dayOfMonth, _ := strconv.Atoi(d)
		date := time.Date(year, time.Month(month), dayOfMonth, 0, 0, 0, 0, time.UTC)
		return date.Month() == time.Month(month) && date.Day() == dayOfMonth
	}
	return isClock(clock)
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

// sexagesimal reads "1:30" or "1:30:00" as Psych does, which gives both parts of "1:30" the weights of "1:30:00".
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

// digitsWith says whether s begins with a digit and has only digits and separators.
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
	if a := math.Abs(v); v == 0 || a >= 1e-4 && a < 1e16 {
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

// separatesDigits says whether a digit follows each separator.
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
