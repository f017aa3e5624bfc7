package report

import (
	"io"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// codeQualityIssue is what GitLab reads of Code Climate's format.
type codeQualityIssue struct {
	Description string              `json:"description"`
	CheckName   string              `json:"check_name"`
	Fingerprint string              `json:"fingerprint"`
	Severity    string              `json:"severity"`
	Location    codeQualityLocation `json:"location"`
}

type codeQualityLocation struct {
	Path  string           `json:"path"`
	Lines codeQualityLines `json:"lines"`
}

type codeQualityLines struct {
	Begin int `json:"begin"`
	End   int `json:"end,omitempty"`
}

var codeQualitySeverity = map[findings.Severity]string{
	findings.Critical: "blocker", findings.High: "critical", findings.Medium: "major", findings.Low: "minor",
	findings.Unknown: "major", findings.Info: "info",
}

// CodeQuality writes GitLab's Code Quality report, which the merge request's widget shows in every tier.
// Findings without a file, as in images, are left out: GitLab drops the whole report for one of them.
func CodeQuality(w io.Writer, r *findings.Report) error {
	issues := []codeQualityIssue{}
	for _, f := range r.Open() {
		if f.Location.File == "" {
			continue
		}
		issue := codeQualityIssue{
			Description: clip(r.Tool.ID+": "+f.Rule+": "+f.Message, 1024), CheckName: r.Tool.ID + "/" + f.Rule,
			Fingerprint: f.Fingerprint, Severity: codeQualitySeverity[f.Severity],
			Location: codeQualityLocation{Path: f.Location.File, Lines: codeQualityLines{Begin: max(f.Location.Line, 1)}},
		}
		if f.Dependency != nil {
			issue.Description = clip(r.Tool.ID+": "+f.Rule+" in "+f.Dependency.Package+": "+f.Name+" ("+f.Message+")", 1024)
		}
		if f.Location.EndLine > f.Location.Line {
			issue.Location.Lines.End = f.Location.EndLine
		}
		issues = append(issues, issue)
	}
	return encode(w, issues)
}
