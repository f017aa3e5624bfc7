package report

import (
	"io"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
	"gitlab.com/slipway-ci/slipway/internal/report"
)

// The generic issue format since SonarQube 10.3: rules and issues. Type and severity are there for servers that run in
// Standard Experience, impacts for the others.
type (
	sonarReport struct {
		Rules  []sonarRule  `json:"rules"`
		Issues []sonarIssue `json:"issues"`
	}
	sonarRule struct {
		ID          string        `json:"id"`
		Name        string        `json:"name"`
		Description string        `json:"description,omitempty"`
		EngineID    string        `json:"engineId"`
		Attribute   string        `json:"cleanCodeAttribute"`
		Type        string        `json:"type"`
		Severity    string        `json:"severity"`
		Impacts     []sonarImpact `json:"impacts"`
	}
	sonarImpact struct {
		Quality  string `json:"softwareQuality"`
		Severity string `json:"severity"`
	}
	sonarIssue struct {
		RuleID   string        `json:"ruleId"`
		Minutes  int           `json:"effortMinutes"`
		Location sonarLocation `json:"primaryLocation"`
	}
	sonarLocation struct {
		Message string      `json:"message"`
		File    string      `json:"filePath"`
		Range   *sonarRange `json:"textRange,omitempty"`
	}
	sonarRange struct {
		StartLine int `json:"startLine"`
		EndLine   int `json:"endLine"`
	}
)

// sonarSeverity has the severity of the Standard Experience and that of an impact; BLOCKER and INFO impacts came only
// with 10.8, so they are not used.
var sonarSeverity = map[findings.Severity][2]string{
	findings.Critical: {"BLOCKER", "HIGH"}, findings.High: {"CRITICAL", "HIGH"}, findings.Medium: {"MAJOR", "MEDIUM"},
	findings.Unknown: {"MAJOR", "MEDIUM"}, findings.Low: {"MINOR", "LOW"}, findings.Info: {"INFO", "LOW"},
}

// Sonar writes SonarQube's generic issues, for sonar.externalIssuesReportPaths. Findings without a file are left out.
// A rule's severity is that of its worst finding, because the format has none per issue.
func Sonar(w io.Writer, r *findings.Report) error {
	out := sonarReport{Rules: []sonarRule{}, Issues: []sonarIssue{}}
	known := map[string]bool{}
	// The findings are sorted by severity, so the first of a rule is its worst.
	for _, f := range r.Open() {
		if f.Location.File == "" {
			continue
		}
		if !known[f.Rule] {
			known[f.Rule] = true
			rule := sonarRule{
				ID: f.Rule, Name: r.Tool.ID + " " + f.Rule + ": " + f.Name, Description: f.Description, EngineID: r.Tool.ID,
				Attribute: "TRUSTWORTHY", Type: "VULNERABILITY", Severity: sonarSeverity[f.Severity][0],
				Impacts: []sonarImpact{{"SECURITY", sonarSeverity[f.Severity][1]}},
			}
			if r.Kind == findings.Quality {
				rule.Name, rule.Attribute, rule.Type = r.Tool.ID+" "+f.Rule, "CONVENTIONAL", "CODE_SMELL"
				rule.Impacts[0].Quality = "MAINTAINABILITY"
			}
			out.Rules = append(out.Rules, rule)
		}
		issue := sonarIssue{RuleID: f.Rule, Minutes: 15, Location: sonarLocation{Message: orUnknown(f.Message), File: f.Location.File}}
		if f.Location.Line > 0 {
			issue.Location.Range = &sonarRange{f.Location.Line, max(f.Location.Line, f.Location.EndLine)}
		}
		out.Issues = append(out.Issues, issue)
	}
	return report.JSON(w, out)
}
