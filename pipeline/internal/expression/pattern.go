package expression

import (
	"errors"
	"regexp"
	"strings"
)

// A pattern is an RE2 pattern as it is written between slashes.
type pattern struct {
	source string
	re     *regexp.Regexp
}

var errNoPattern = errors.New("write a pattern between slashes")

// compilePattern reads "/regexp/flags" with the flags i, s, m and U; \/ stands for a slash.
func compilePattern(written string) (*pattern, error) {
	body, flags, ok := splitPattern(strings.ReplaceAll(written, `\/`, `/`))
	if !ok {
		return nil, errNoPattern
	}
	if flags != "" {
		body = "(?" + flags + ")" + body
	}
	re, err := regexp.Compile(body)
	if err != nil {
		return nil, err
	}
	return &pattern{source: body, re: re}, nil
}

func splitPattern(s string) (body, flags string, ok bool) {
	end := strings.LastIndexByte(s, '/')
	if end < 1 || s[0] != '/' || strings.Trim(s[end+1:], "ismU") != "" || strings.Contains(s, "\n") {
		return "", "", false
	}
	return s[1:end], s[end+1:], true
}

// Pattern compiles what is written as a pattern ("/^v\d/i"), which `only`, `except` and `coverage` may be.
// isPattern is false for other strings.
func Pattern(written string) (re *regexp.Regexp, isPattern bool, err error) {
	body, flags, ok := splitPattern(written)
	if !ok {
		return nil, false, nil
	}
	if flags != "" {
		body = "(?" + flags + ")" + body
	}
	re, err = regexp.Compile(body)
	return re, true, err
}
