package scanner

import (
	"fmt"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// gitlabReport is GitLab's security report, whichever analyzer wrote it.
type gitlabReport struct {
	Scan struct {
		Type    findings.Kind `json:"type"`
		Status  string        `json:"status"`
		Scanner struct {
			ID      string `json:"id"`
			Name    string `json:"name"`
			Version string `json:"version"`
			URL     string `json:"url"`
			Vendor  struct {
				Name string `json:"name"`
			} `json:"vendor"`
		} `json:"scanner"`
		Messages []struct {
			Level string `json:"level"`
			Value string `json:"value"`
		} `json:"messages"`
	} `json:"scan"`
	Vulnerabilities []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Severity    string `json:"severity"`
		Solution    string `json:"solution"`
		Extract     string `json:"raw_source_code_extract"`
		Identifiers []struct {
			Type  string `json:"type"`
			Name  string `json:"name"`
			Value string `json:"value"`
			URL   string `json:"url"`
		} `json:"identifiers"`
		Location struct {
			File       string `json:"file"`
			StartLine  int    `json:"start_line"`
			EndLine    int    `json:"end_line"`
			Image      string `json:"image"`
			System     string `json:"operating_system"`
			Dependency *struct {
				Package struct {
					Name string `json:"name"`
				} `json:"package"`
				Version string `json:"version"`
				Direct  bool   `json:"direct"`
			} `json:"dependency"`
			Commit *struct {
				SHA string `json:"sha"`
			} `json:"commit"`
		} `json:"location"`
	} `json:"vulnerabilities"`
}

// readGitLab reads a report of any of GitLab's analyzers. The format knows no confidence; all findings are sure.
func readGitLab(data []byte, _ Options) (*findings.Report, error) {
	var in gitlabReport
	if err := decode(data, &in); err != nil {
		return nil, err
	}
	s := in.Scan.Scanner
	report := &findings.Report{
		Kind: in.Scan.Type,
		Tool: findings.Tool{ID: s.ID, Name: s.Name, Version: s.Version, Vendor: s.Vendor.Name, URL: s.URL},
	}
	for _, m := range in.Scan.Messages {
		if m.Level == "fatal" {
			report.Problems = append(report.Problems, findings.Problem{Text: m.Value})
		}
	}
	if in.Scan.Status != "success" && len(report.Problems) == 0 {
		report.Problems = append(report.Problems, findings.Problem{Text: fmt.Sprintf("the scan's status is %q", in.Scan.Status)})
	}
	for _, v := range in.Vulnerabilities {
		if len(v.Identifiers) == 0 {
			return nil, fmt.Errorf("the report is invalid: %q has no identifier", v.Name)
		}
		l := v.Location
		f := findings.Finding{
			Rule: v.Identifiers[0].Value, Name: v.Name, Message: firstOf(v.Name, v.Description), Description: v.Description,
			Severity: findings.SeverityOf(v.Severity), Confidence: findings.HighConfidence, Solution: v.Solution, Snippet: v.Extract,
			Location: findings.Location{File: l.File, Line: l.StartLine, EndLine: l.EndLine},
		}
		for _, i := range v.Identifiers[1:] {
			f.Identifiers = append(f.Identifiers, findings.Identifier{Type: i.Type, Name: i.Name, Value: i.Value, URL: i.URL})
		}
		if l.Dependency != nil {
			f.Dependency = &findings.Dependency{Package: l.Dependency.Package.Name, Version: l.Dependency.Version, Direct: l.Dependency.Direct}
		}
		if l.Commit != nil {
			f.Commit = &findings.Commit{SHA: l.Commit.SHA}
		}
		if l.Image != "" {
			report.Image, report.OperatingSystem = l.Image, l.System
		}
		report.Findings = append(report.Findings, f)
	}
	return report, nil
}
