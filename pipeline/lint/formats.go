package lint

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/report"
)

// JSON writes findings as a list of objects: rule, severity, file, line, column, path, message, hint, events, fingerprint, url.
func JSON(w io.Writer, findings []Finding) error {
	type object struct {
		Rule        string   `json:"rule"`
		Severity    Severity `json:"severity"`
		File        string   `json:"file"`
		Line        int      `json:"line,omitempty"`
		Column      int      `json:"column,omitempty"`
		Path        string   `json:"path,omitempty"`
		Message     string   `json:"message"`
		Hint        string   `json:"hint,omitempty"`
		Events      []string `json:"events,omitempty"`
		Fingerprint string   `json:"fingerprint"`
		URL         string   `json:"url"`
	}
	list := []object{}
	prints := fingerprints(findings)
	for i, f := range findings {
		list = append(list, object{
			Rule: f.Rule, Severity: f.Severity, File: f.Position.File, Line: f.Position.Line, Column: f.Position.Column,
			Path: f.Path, Message: f.Message, Hint: f.Hint, Events: f.Events, Fingerprint: prints[i], URL: Rule{ID: f.Rule}.URL(),
		})
	}
	return report.JSON(w, list)
}

// CodeQuality writes findings as GitLab's Code Quality report, which the merge request shows.
func CodeQuality(w io.Writer, findings []Finding) error {
	var issues []report.Issue
	prints := fingerprints(findings)
	for i, f := range findings {
		severity := "minor"
		if f.Severity == Error {
			severity = "blocker"
		}
		issues = append(issues, report.Issue{
			Check: f.Rule, Description: withHint(f), Fingerprint: prints[i], Severity: severity, File: f.Position.File, Line: f.Position.Line,
		})
	}
	return report.CodeQuality(w, issues)
}

// SARIF writes findings as SARIF 2.1.0, with the rules that have findings. The version is that of this program.
func SARIF(w io.Writer, findings []Finding, version string) error {
	driver := report.Driver{Name: "slipway lint", Version: version, InformationURI: page()}
	for _, r := range slices.Concat([]Rule{invalidRule, onlineRule}, rules) {
		at := slices.IndexFunc(findings, func(f Finding) bool { return f.Rule == r.ID })
		if at < 0 {
			continue
		}
		driver.Rules = append(driver.Rules, report.Rule{
			ID: r.ID, ShortDescription: report.Message{Text: r.Summary}, FullDescription: report.Text(r.Why), HelpURI: r.URL(),
			Help:    report.Text(r.Why + ". Example and remedy: " + r.URL()),
			Default: report.Configuration{Level: string(findings[at].Severity)},
		})
	}
	var results []report.Result
	prints := fingerprints(findings)
	for i, f := range findings {
		results = append(results, report.Result{
			RuleID: f.Rule, Level: string(f.Severity), Message: report.Message{Text: withHint(f)},
			Locations: []report.Location{{Physical: report.InFile(f.Position.File, report.Region{
				StartLine: f.Position.Line, StartColumn: f.Position.Column,
			})}},
			Fingerprints: report.Fingerprint(prints[i]),
		})
	}
	return report.SARIF(w, driver, results, nil)
}

func withHint(f Finding) string {
	if f.Hint == "" {
		return describe(f)
	}
	return describe(f) + ": " + f.Hint
}

// fingerprints identify findings over time: by rule, file, path and message, not by line, so that a finding that moves stays the
// same. Findings that are equal in all of them are numbered.
func fingerprints(findings []Finding) []string {
	prints, seen := make([]string, len(findings)), map[string]int{}
	for i, f := range findings {
		id := strings.Join([]string{f.Rule, f.Position.File, f.Path, f.Message}, "\x00")
		seen[id]++
		sum := sha256.Sum256([]byte(id + strings.Repeat("\x00", seen[id])))
		prints[i] = hex.EncodeToString(sum[:16])
	}
	return prints
}

// groups returns findings of one rule, message and hint together, in the order of their first ones.
func groups(findings []Finding) [][]Finding {
	var out [][]Finding
	index := map[string]int{}
	for _, f := range findings {
		id := strings.Join([]string{f.Rule, string(f.Severity), f.Message, f.Hint, strings.Join(f.Events, ";")}, "\x00")
		i, ok := index[id]
		if !ok {
			i = len(out)
			index[id] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], f)
	}
	return out
}

// RulesJSON writes the rules as a list of objects: id, severity, summary, why, url.
func RulesJSON(w io.Writer) error {
	type object struct {
		ID       string   `json:"id"`
		Severity Severity `json:"severity"`
		Summary  string   `json:"summary"`
		Why      string   `json:"why"`
		URL      string   `json:"url"`
	}
	var list []object
	for _, r := range rules {
		list = append(list, object{r.ID, r.Severity, r.Summary, r.Why, r.URL()})
	}
	return report.JSON(w, list)
}
