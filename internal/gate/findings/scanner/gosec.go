package scanner

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// gosecReport is the output of `gosec -fmt json`; numbers of lines are texts there, "12" or "12-14".
type gosecReport struct {
	Errors map[string][]struct {
		Line  int    `json:"line"`
		Error string `json:"error"`
	} `json:"Golang errors"`
	Issues []struct {
		Severity   string `json:"severity"`
		Confidence string `json:"confidence"`
		CWE        *struct {
			ID  string `json:"id"`
			URL string `json:"url"`
		} `json:"cwe"`
		Rule         string `json:"rule_id"`
		Details      string `json:"details"`
		File         string `json:"file"`
		Code         string `json:"code"`
		Line         string `json:"line"`
		Column       string `json:"column"`
		NoSec        bool   `json:"nosec"`
		Suppressions []struct {
			Justification string `json:"justification"`
		} `json:"suppressions"`
		Autofix string `json:"autofix"`
	} `json:"Issues"`
	Stats struct {
		Files int `json:"files"`
	} `json:"Stats"`
	Version string `json:"GosecVersion"`
}

func readGosec(data []byte, _ Options) (*findings.Report, error) {
	var in gosecReport
	if err := decode(data, &in); err != nil {
		return nil, err
	}
	version := in.Version
	if version == "" {
		version = "unknown"
	}
	report := &findings.Report{
		Kind: findings.SAST,
		Tool: findings.Tool{ID: "gosec", Name: "gosec", Version: version, Vendor: "securego", URL: "https://github.com/securego/gosec"},
	}
	for file, errs := range in.Errors {
		for _, e := range errs {
			report.Problems = append(report.Problems, findings.Problem{File: file, Line: e.Line, Text: e.Error})
		}
	}
	sort.Slice(report.Problems, func(i, j int) bool {
		a, b := report.Problems[i], report.Problems[j]
		return a.File < b.File || a.File == b.File && a.Line < b.Line
	})
	if in.Stats.Files == 0 {
		report.Problems = append(report.Problems, findings.Problem{Text: "gosec checked no file; does the pattern match a package?"})
	}
	for _, i := range in.Issues {
		severity, err := findings.ParseSeverity(i.Severity)
		if err != nil {
			return nil, fmt.Errorf("the report is invalid: %s: %w", i.Rule, err)
		}
		confidence, err := findings.ParseConfidence(i.Confidence)
		if err != nil {
			return nil, fmt.Errorf("the report is invalid: %s: %w", i.Rule, err)
		}
		first, last, err := lineRange(i.Line)
		if err != nil {
			return nil, fmt.Errorf("the report is invalid: %s in %s: %w", i.Rule, i.File, err)
		}
		column, _ := strconv.Atoi(i.Column)
		f := findings.Finding{
			Rule: i.Rule, Name: i.Details, Message: i.Details, Severity: severity, Confidence: confidence, Solution: i.Autofix,
			Location: findings.Location{File: i.File, Line: first, EndLine: last, Column: column},
			Snippet:  numbered(i.Code, first, last),
		}
		if i.CWE != nil && i.CWE.ID != "" {
			f.Identifiers = append(f.Identifiers, cwe(i.CWE.ID))
		}
		if i.NoSec || len(i.Suppressions) > 0 {
			f.Suppressed = &findings.Suppression{}
			if len(i.Suppressions) > 0 {
				f.Suppressed.Justification = i.Suppressions[0].Justification
			}
		}
		report.Findings = append(report.Findings, f)
	}
	return report, nil
}

// lineRange reads "12" and "12-14".
func lineRange(text string) (first, last int, err error) {
	a, b, ranged := strings.Cut(text, "-")
	if first, err = strconv.Atoi(a); err != nil {
		return 0, 0, fmt.Errorf("line %q is not a number", text)
	}
	if !ranged {
		return first, first, nil
	}
	if last, err = strconv.Atoi(b); err != nil {
		return 0, 0, fmt.Errorf("line %q is not a number", text)
	}
	return first, last, nil
}

// numbered takes the lines from first to last out of a listing ("27: code"), which has some context around them.
func numbered(listing string, first, last int) string {
	var lines []string
	for _, l := range strings.Split(listing, "\n") {
		number, code, ok := strings.Cut(l, ": ")
		n, err := strconv.Atoi(number)
		if ok && err == nil && first <= n && n <= last {
			lines = append(lines, strings.TrimSpace(code))
		}
	}
	return strings.Join(lines, "\n")
}
