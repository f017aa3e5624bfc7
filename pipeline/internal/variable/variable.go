// Package variable finds and replaces references to variables in texts: $NAME, ${NAME} and %NAME%.
package variable

import "strings"

// Expand replaces $NAME, ${NAME} and %NAME%; what is not set becomes nothing.
func Expand(text string, value func(string) (string, bool)) string {
	return Replace(text, false, func(name, written string) string {
		v, _ := value(name)
		return v
	})
}

// ExpandKnown is [Expand], but leaves what is not set as it is.
func ExpandKnown(text string, value func(string) (string, bool)) string {
	return Replace(text, false, func(name, written string) string {
		if v, ok := value(name); ok {
			return v
		}
		return written
	})
}

// ExpandEscaped is [Expand], but leaves $$ and %% as they are, for the shell.
func ExpandEscaped(text string, value func(string) (string, bool)) string {
	return Replace(text, true, func(name, written string) string {
		v, _ := value(name)
		return v
	})
}

// Replace replaces each reference to a variable with what replace returns for its name and its text. With escapes, $$ and %% are not
// references, and stay. The result ends soon after [MaxExpanded] bytes.
func Replace(text string, escapes bool, replace func(name, written string) string) string {
	if !strings.ContainsAny(text, "$%") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text) && b.Len() <= MaxExpanded; {
		if escapes && (strings.HasPrefix(text[i:], "$$") || strings.HasPrefix(text[i:], "%%")) {
			b.WriteString(text[i : i+2])
			i += 2
			continue
		}
		name, size := reference(text[i:])
		if size == 0 {
			b.WriteByte(text[i])
			i++
			continue
		}
		b.WriteString(replace(name, text[i:i+size]))
		i += size
	}
	return b.String()
}

// MaxExpanded is the number of bytes after which the expansion of a text ends.
const MaxExpanded = 1 << 20

// reference reads a variable's reference at the beginning of s; its size is 0 if there is none.
func reference(s string) (name string, size int) {
	switch {
	case strings.HasPrefix(s, "${"):
		if n := nameLength(s[2:]); n > 0 && strings.HasPrefix(s[2+n:], "}") {
			return s[2 : 2+n], n + 3
		}
	case strings.HasPrefix(s, "$"):
		if n := nameLength(s[1:]); n > 0 {
			return s[1 : 1+n], n + 1
		}
	case strings.HasPrefix(s, "%"):
		if n := nameLength(s[1:]); n > 0 && strings.HasPrefix(s[1+n:], "%") {
			return s[1 : 1+n], n + 2
		}
	}
	return "", 0
}

func nameLength(s string) int {
	i := 0
	for i < len(s) && (s[i] == '_' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z' || i > 0 && s[i] >= '0' && s[i] <= '9') {
		i++
	}
	return i
}

// Names returns the names of the variables that a text refers to, in their order.
func Names(text string) []string {
	var names []string
	ExpandEscaped(text, func(name string) (string, bool) {
		names = append(names, name)
		return "", true
	})
	return names
}
