package report

import (
	"io"
	"strconv"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
	"gitlab.com/slipway-ci/slipway/internal/report"
)

var sarifLevel = map[findings.Severity]string{
	findings.Critical: report.LevelError, findings.High: report.LevelError, findings.Medium: report.LevelWarning,
	findings.Unknown: report.LevelWarning, findings.Low: report.LevelNote, findings.Info: report.LevelNone,
}

// SARIF writes a SARIF 2.1.0 log with one run. Five severities do not fit into its three levels, so each rule has the number
// that GitLab and others prefer (security-severity). A rule with findings of several severities becomes several rules
// ("G115/high"); the first keeps its name.
func SARIF(w io.Writer, r *findings.Report) error {
	driver := report.Driver{Name: r.Tool.Name, Version: r.Tool.Version, InformationURI: r.Tool.URL}
	var notifications []report.Notification
	for _, p := range r.Problems {
		notifications = append(notifications, report.Notification{Level: report.LevelWarning, Message: *report.Text(problemText(p))})
	}
	var results []report.Result
	known := map[string]bool{}
	severity := map[string]findings.Severity{}
	for _, f := range r.Findings {
		id := f.Rule
		if s, ok := severity[id]; ok && s != f.Severity {
			id += "/" + f.Severity.String()
		}
		severity[id] = f.Severity
		if !known[id] {
			known[id] = true
			driver.Rules = append(driver.Rules, sarifRule(r, f, id))
		}
		results = append(results, sarifResult(f, id))
	}
	return report.SARIF(w, driver, results, notifications)
}

func sarifRule(r *findings.Report, f findings.Finding, id string) report.Rule {
	rule := report.Rule{
		ID: id, ShortDescription: *report.Text(orUnknown(f.Name)), FullDescription: report.Text(f.Description),
		Help: report.Text(f.Solution), HelpURI: r.Tool.URL, Default: report.Configuration{Level: sarifLevel[f.Severity]},
	}
	if len(f.Links) > 0 {
		rule.HelpURI = f.Links[0]
	}
	if r.Kind == findings.Quality {
		return rule
	}
	tags := []string{"security"}
	for _, i := range f.Identifiers {
		if i.Type == "cwe" {
			tags = append(tags, "external/cwe/cwe-"+i.Value)
		}
	}
	rule.Properties = map[string]any{
		"security-severity": strconv.FormatFloat(f.Severity.Score(), 'f', 1, 64),
		"precision":         f.Confidence.String(),
		"tags":              tags,
	}
	return rule
}

func sarifResult(f findings.Finding, id string) report.Result {
	file := f.Location.File
	if file == "" {
		// GitLab drops results without a file; an image is built from this one.
		file = "Dockerfile"
	}
	result := report.Result{
		RuleID: id, Level: sarifLevel[f.Severity], Message: report.Message{Text: orUnknown(f.Message)},
		Locations: []report.Location{{Physical: report.InFile(file, report.Region{
			StartLine: f.Location.Line, StartColumn: f.Location.Column, EndLine: max(f.Location.EndLine, f.Location.Line, 1),
			Snippet: report.Text(f.Snippet),
		})}},
		Fingerprints: report.Fingerprint(f.Fingerprint),
	}
	for i, frame := range f.Trace {
		if frame.Location.File != "" {
			result.RelatedLocations = append(result.RelatedLocations, report.Location{
				ID: i + 1, Message: &report.Message{Text: frame.Function},
				Physical: report.InFile(frame.Location.File, report.Region{StartLine: frame.Location.Line}),
			})
		}
	}
	if f.Suppressed != nil {
		result.Suppressions = []report.Suppression{{Kind: "inSource", Status: "accepted", Justification: f.Suppressed.Justification}}
	}
	return result
}
