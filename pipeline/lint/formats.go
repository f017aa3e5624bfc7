package lint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// JSON writes findings as a list of objects: rule, severity, file, line, column, path, message, hint, events.
func JSON(w io.Writer, findings []Finding) error {
	type object struct {
		Rule     string   `json:"rule"`
		Severity Severity `json:"severity"`
		File     string   `json:"file"`
		Line     int      `json:"line,omitempty"`
		Column   int      `json:"column,omitempty"`
		Path     string   `json:"path,omitempty"`
		Message  string   `json:"message"`
		Hint     string   `json:"hint,omitempty"`
		Events   []string `json:"events,omitempty"`
	}
	list := []object{}
	for _, f := range findings {
		list = append(list, object{
			Rule: f.Rule, Severity: f.Severity, File: f.Position.File, Line: f.Position.Line, Column: f.Position.Column,
			Path: f.Path, Message: f.Message, Hint: f.Hint, Events: f.Events,
		})
	}
	return encode(w, list)
}

// CodeQuality writes findings as GitLab's Code Quality report, which the merge request shows.
func CodeQuality(w io.Writer, findings []Finding) error {
	type lines struct {
		Begin int `json:"begin"`
	}
	type location struct {
		Path  string `json:"path"`
		Lines lines  `json:"lines"`
	}
	type issue struct {
		Description string   `json:"description"`
		CheckName   string   `json:"check_name"`
		Fingerprint string   `json:"fingerprint"`
		Severity    string   `json:"severity"`
		Location    location `json:"location"`
	}
	list := []issue{}
	prints := fingerprints(findings)
	for i, f := range findings {
		severity := "minor"
		if f.Severity == Error {
			severity = "blocker"
		}
		list = append(list, issue{
			Description: withHint(f), CheckName: f.Rule, Fingerprint: prints[i], Severity: severity,
			Location: location{Path: f.Position.File, Lines: lines{Begin: max(1, f.Position.Line)}},
		})
	}
	return encode(w, list)
}

// SARIF writes findings as SARIF 2.1.0.
func SARIF(w io.Writer, findings []Finding) error {
	type text struct {
		Text string `json:"text"`
	}
	type descriptor struct {
		ID               string `json:"id"`
		ShortDescription text   `json:"shortDescription"`
		Help             text   `json:"help"`
	}
	type region struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
	type object = map[string]any
	var descriptors []descriptor
	index := map[string]int{}
	for _, r := range append([]Rule{{ID: invalid, Summary: "a configuration that GitLab refuses", Why: "there is no pipeline"}}, rules...) {
		if !slices.ContainsFunc(findings, func(f Finding) bool { return f.Rule == r.ID }) {
			continue
		}
		index[r.ID] = len(descriptors)
		descriptors = append(descriptors, descriptor{ID: r.ID, ShortDescription: text{r.Summary}, Help: text{r.Why}})
	}
	results := []object{}
	prints := fingerprints(findings)
	for i, f := range findings {
		results = append(results, object{
			"ruleId":    f.Rule,
			"ruleIndex": index[f.Rule],
			"level":     f.Severity,
			"message":   text{withHint(f)},
			"locations": []object{{"physicalLocation": object{
				"artifactLocation": object{"uri": uri(f.Position.File)},
				"region":           region{StartLine: max(1, f.Position.Line), StartColumn: f.Position.Column},
			}}},
			"partialFingerprints": object{"slipway/v1": prints[i]},
		})
	}
	if descriptors == nil {
		descriptors = []descriptor{}
	}
	return encode(w, object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []object{{
			"tool":    object{"driver": object{"name": "slipway lint", "rules": descriptors}},
			"results": results,
		}},
	})
}

func withHint(f Finding) string {
	if f.Hint == "" {
		return describe(f)
	}
	return describe(f) + ": " + f.Hint
}

// fingerprints identify findings over time: by rule, file, path and message, not by line, so that a finding that moves
// stays the same; those that agree in all of them are numbered.
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

// uri is a relative path as a URI reference: "group/project@main:ci/x.yml" must not look like a scheme.
func uri(file string) string {
	return strings.NewReplacer("%", "%25", " ", "%20", ":", "%3A", "#", "%23", "?", "%3F").Replace(file)
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
