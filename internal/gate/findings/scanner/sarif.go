package scanner

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// sarifLog is the part of SARIF 2.1.0 about results.
type sarifLog struct {
	Version string `json:"version"`
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name            string      `json:"name"`
				Version         string      `json:"version"`
				SemanticVersion string      `json:"semanticVersion"`
				URL             string      `json:"informationUri"`
				Rules           []sarifRule `json:"rules"`
			} `json:"driver"`
		} `json:"tool"`
		Invocations []struct {
			Successful *bool `json:"executionSuccessful"`
		} `json:"invocations"`
		Results []struct {
			RuleID    string    `json:"ruleId"`
			RuleIndex *int      `json:"ruleIndex"`
			Level     string    `json:"level"`
			Message   sarifText `json:"message"`
			Locations []struct {
				Physical struct {
					Artifact struct {
						URI string `json:"uri"`
					} `json:"artifactLocation"`
					Region struct {
						StartLine   int       `json:"startLine"`
						EndLine     int       `json:"endLine"`
						StartColumn int       `json:"startColumn"`
						EndColumn   int       `json:"endColumn"`
						Snippet     sarifText `json:"snippet"`
					} `json:"region"`
				} `json:"physicalLocation"`
			} `json:"locations"`
			Suppressions []struct {
				Status        string `json:"status"`
				Justification string `json:"justification"`
			} `json:"suppressions"`
		} `json:"results"`
	} `json:"runs"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifRule struct {
	ID         string                 `json:"id"`
	Name       string                 `json:"name"`
	Short      sarifText              `json:"shortDescription"`
	Full       sarifText              `json:"fullDescription"`
	HelpURI    string                 `json:"helpUri"`
	Default    struct{ Level string } `json:"defaultConfiguration"`
	Properties struct {
		Severity   string   `json:"security-severity"`
		Confidence string   `json:"precision"`
		Tags       []string `json:"tags"`
	} `json:"properties"`
}

// readSARIF reads any tool's SARIF, so that a gate is not limited to the scanners of this package.
func readSARIF(data []byte, _ Options) (*findings.Report, error) {
	var in sarifLog
	if err := decode(data, &in); err != nil {
		return nil, err
	}
	if len(in.Runs) == 0 {
		return nil, errors.New("the SARIF log has no run: nothing was scanned")
	}
	driver := in.Runs[0].Tool.Driver
	report := &findings.Report{
		Kind: findings.SAST,
		Tool: findings.Tool{ID: strings.ToLower(strings.ReplaceAll(driver.Name, " ", "-")), Name: driver.Name, Version: driver.Version, URL: driver.URL},
	}
	if report.Tool.Version == "" {
		report.Tool.Version = driver.SemanticVersion
	}
	for _, run := range in.Runs {
		for _, i := range run.Invocations {
			if i.Successful != nil && !*i.Successful {
				report.Problems = append(report.Problems, findings.Problem{Text: run.Tool.Driver.Name + " says that it did not succeed"})
			}
		}
		rules := map[string]sarifRule{}
		for _, r := range run.Tool.Driver.Rules {
			rules[r.ID] = r
		}
		for _, r := range run.Results {
			id := r.RuleID
			if i := r.RuleIndex; id == "" && i != nil && *i >= 0 && *i < len(run.Tool.Driver.Rules) {
				id = run.Tool.Driver.Rules[*i].ID
			}
			rule := rules[id]
			level := r.Level
			if level == "" {
				level = rule.Default.Level
			}
			if level == "" {
				level = "warning" // SARIF 2.1.0, section 3.27.10
			}
			f := findings.Finding{
				Rule: id, Name: firstOf(rule.Short.Text, rule.Name, id), Message: r.Message.Text, Description: rule.Full.Text,
				Severity: findings.SeverityOf(level), Confidence: findings.HighConfidence,
			}
			if score, err := strconv.ParseFloat(rule.Properties.Severity, 64); err == nil {
				f.Severity = findings.SeverityOfScore(score)
			}
			if c, err := findings.ParseConfidence(rule.Properties.Confidence); err == nil {
				f.Confidence = c
			}
			for _, tag := range rule.Properties.Tags {
				if id, ok := strings.CutPrefix(strings.ToLower(tag), "external/cwe/cwe-"); ok {
					f.Identifiers = append(f.Identifiers, cwe(id))
				}
			}
			if rule.HelpURI != "" {
				f.Links = []string{rule.HelpURI}
			}
			if len(r.Locations) > 0 {
				p := r.Locations[0].Physical
				f.Location = findings.Location{File: filePath(p.Artifact.URI), Line: p.Region.StartLine, EndLine: p.Region.EndLine,
					Column: p.Region.StartColumn, EndColumn: p.Region.EndColumn}
				f.Snippet = p.Region.Snippet.Text
			}
			for _, s := range r.Suppressions {
				if s.Status == "" || s.Status == "accepted" {
					f.Suppressed = &findings.Suppression{Justification: s.Justification}
				}
			}
			report.Findings = append(report.Findings, f)
		}
	}
	return report, nil
}

// filePath reads the URI of an artifact.
func filePath(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Path == "" {
		return uri
	}
	return u.Path
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
