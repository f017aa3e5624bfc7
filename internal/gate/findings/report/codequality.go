package report

import (
	"io"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
	"gitlab.com/slipway-ci/slipway/internal/report"
)

var codeQualitySeverity = map[findings.Severity]string{
	findings.Critical: "blocker", findings.High: "critical", findings.Medium: "major", findings.Low: "minor",
	findings.Unknown: "major", findings.Info: "info",
}

// CodeQuality writes GitLab's Code Quality report. Findings without a file, as in images, are left out.
func CodeQuality(w io.Writer, r *findings.Report) error {
	var issues []report.Issue
	for _, f := range r.Open() {
		description := r.Tool.ID + ": " + f.Rule + ": " + f.Message
		if f.Dependency != nil {
			description = r.Tool.ID + ": " + f.Rule + " in " + f.Dependency.Package + ": " + f.Name + " (" + f.Message + ")"
		}
		issues = append(issues, report.Issue{
			Check: r.Tool.ID + "/" + f.Rule, Description: description, Fingerprint: f.Fingerprint, Severity: codeQualitySeverity[f.Severity],
			File: f.Location.File, Line: f.Location.Line, EndLine: f.Location.EndLine,
		})
	}
	return report.CodeQuality(w, issues)
}
