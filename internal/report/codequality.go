package report

import (
	"io"
)

// maxDescription is the length in bytes to which descriptions of Code Quality issues are shortened.
const maxDescription = 1024

// An Issue is an entry of a Code Quality report.
type Issue struct {
	// Check is the rule's id.
	Check       string
	Description string
	// Fingerprint identifies the issue over time; GitLab compares it with that of the target branch.
	Fingerprint string
	// Severity is "info", "minor", "major", "critical" or "blocker".
	Severity string
	// File is relative to the repository's root; an issue without a file is left out.
	File string
	// Line counts from 1; EndLine is used if it is greater.
	Line, EndLine int
}

type (
	codeQualityIssue struct {
		Description string              `json:"description"`
		CheckName   string              `json:"check_name"`
		Fingerprint string              `json:"fingerprint"`
		Severity    string              `json:"severity"`
		Location    codeQualityLocation `json:"location"`
	}
	codeQualityLocation struct {
		Path  string           `json:"path"`
		Lines codeQualityLines `json:"lines"`
	}
	codeQualityLines struct {
		Begin int `json:"begin"`
		End   int `json:"end,omitempty"`
	}
)

// CodeQuality writes GitLab's Code Quality report, which the merge request's widget shows in every tier. Issues without a file
// are left out: GitLab rejects the whole report for one of them.
func CodeQuality(w io.Writer, issues []Issue) error {
	out := []codeQualityIssue{}
	for _, issue := range issues {
		if issue.File == "" {
			continue
		}
		lines := codeQualityLines{Begin: max(issue.Line, 1)}
		if issue.EndLine > issue.Line {
			lines.End = issue.EndLine
		}
		out = append(out, codeQualityIssue{
			Description: Clip(issue.Description, maxDescription), CheckName: issue.Check, Fingerprint: issue.Fingerprint,
			Severity: issue.Severity, Location: codeQualityLocation{Path: issue.File, Lines: lines},
		})
	}
	return JSON(w, out)
}
