// Package report writes findings in the formats that GitLab and SonarQube read: GitLab's security reports, SARIF,
// Code Quality and Sonar's generic issues.
//
// Suppressed findings are left out, except in SARIF, which can say that they are.
package report

import (
	"encoding/json"
	"io"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// A Writer writes one format.
type Writer func(w io.Writer, r *findings.Report) error

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// clip shortens a text to at most n bytes, at a rune's border.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}
