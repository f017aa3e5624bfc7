package scanner

import (
	"encoding/json"
	"fmt"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// gitleaksLeak is an element of the list that `gitleaks --report-format json` writes. Match and Secret are not read:
// a secret that gets into an artifact has leaked once more.
type gitleaksLeak struct {
	Rule        string `json:"RuleID"`
	Description string `json:"Description"`
	File        string `json:"File"`
	StartLine   int    `json:"StartLine"`
	EndLine     int    `json:"EndLine"`
	StartColumn int    `json:"StartColumn"`
	EndColumn   int    `json:"EndColumn"`
	Commit      string `json:"Commit"`
	Author      string `json:"Author"`
	// Date is empty without a commit (`gitleaks dir`), so it is no time.Time.
	Date    string `json:"Date"`
	Message string `json:"Message"`
}

func isGitleaks(first json.RawMessage) bool {
	var leaks []map[string]json.RawMessage
	if json.Unmarshal(first, &leaks) != nil || len(leaks) == 0 {
		return false
	}
	_, ok := leaks[0]["RuleID"]
	return ok
}

func readGitleaks(data []byte, _ Options) (*findings.Report, error) {
	var in []gitleaksLeak
	if err := decode(data, &in); err != nil {
		return nil, err
	}
	report := &findings.Report{
		Kind: findings.SecretDetection,
		Tool: findings.Tool{ID: "gitleaks", Name: "Gitleaks", Version: "unknown", Vendor: "Gitleaks", URL: "https://gitleaks.io"},
	}
	for _, leak := range in {
		if leak.Rule == "" || leak.File == "" {
			return nil, fmt.Errorf("the report is invalid: a leak without RuleID or File")
		}
		f := findings.Finding{
			Rule: leak.Rule, Name: leak.Rule, Message: leak.Description, Description: leak.Description,
			Severity: findings.Critical, Confidence: findings.HighConfidence,
			Location:    findings.Location{File: leak.File, Line: leak.StartLine, EndLine: leak.EndLine, Column: leak.StartColumn, EndColumn: leak.EndColumn},
			Solution:    "Revoke the secret where it was issued: it is in the history and stays there. Then take it out of the code.",
			Identifiers: []findings.Identifier{cwe("798")},
		}
		if leak.Commit != "" {
			f.Commit = &findings.Commit{SHA: leak.Commit, Author: leak.Author, Message: leak.Message}
			f.Commit.Date, _ = time.Parse(time.RFC3339, leak.Date)
		}
		report.Findings = append(report.Findings, f)
	}
	return report, nil
}
