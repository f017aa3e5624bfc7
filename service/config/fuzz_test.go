package config

import (
	"strings"
	"testing"
)

func FuzzParseFile(f *testing.F) {
	for _, seed := range []string{"log.level: info", "# only a comment", "a: b # c", "http.addr: '127.0.0.1:1'", ":", "log.level: \"", "log.level:info\r\nlog.level: x", "api_keys_file: x#y"} {
		f.Add(seed)
	}
	all := settings(new(Config))
	f.Fuzz(func(t *testing.T, text string) {
		values, errs := parseFile(all, text)
		lines := 0
		for line := range strings.Lines(text) {
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
		if len(values)+len(errs) > lines {
			t.Errorf("%q has %d lines, %d values and %d errors", text, lines, len(values), len(errs))
		}
		for key, value := range values {
			if strings.ContainsAny(value, "\n") || strings.TrimSpace(key) != key {
				t.Errorf("%q: %q is %q", text, key, value)
			}
		}
	})
}

func FuzzSet(f *testing.F) {
	f.Add("5s")
	f.Add("1e3")
	f.Add("true")
	f.Add("a, b,,c")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range settings(new(Config)) {
			if s.secret() || s.set(text) != nil {
				continue
			}
			first := s.text()
			if err := s.set(first); err != nil || s.text() != first {
				t.Errorf("%s: %q became %q and then %q (%v)", s.key, text, first, s.text(), err)
			}
		}
	})
}
