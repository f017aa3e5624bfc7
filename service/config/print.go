package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Print writes the effective configuration as a file that could be loaded, except that secrets are masked.
func (c *Config) Print(w io.Writer) error {
	var b strings.Builder
	for _, s := range settings(c) {
		fmt.Fprintf(&b, "%s: %s\n", s.key, s.text())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Help writes all settings with their names, defaults and descriptions.
func Help(w io.Writer) error {
	var b strings.Builder
	for _, s := range settings(new(Config)) {
		fmt.Fprintf(&b, "  --%s, %s", s.key, s.env())
		if s.secret() {
			b.WriteString("[_FILE]")
		}
		if s.fallback != "" {
			fmt.Fprintf(&b, " (%s)", s.fallback)
		}
		fmt.Fprintf(&b, "\n        %s", s.help)
		if s.reloadable {
			b.WriteString("; can be reloaded")
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Merge returns the running configuration c with the reloadable settings of next, and the keys of the settings that
// differ but need a restart.
func (c *Config) Merge(next *Config) (merged *Config, needRestart []string) {
	copied := *c
	running, wanted := settings(&copied), settings(next)
	for i, s := range running {
		if reflect.DeepEqual(s.value.Interface(), wanted[i].value.Interface()) {
			continue
		}
		if s.reloadable {
			s.value.Set(wanted[i].value)
		} else {
			needRestart = append(needRestart, s.key)
		}
	}
	return &copied, needRestart
}
