package findings

import (
	"fmt"
	"strings"
)

// Severity orders findings; greater is worse.
type Severity int

// The severities, as GitLab's security reports have them. Unknown counts as worse than Info in a comparison, because
// it may be harmful.
const (
	Info Severity = iota
	Unknown
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"info", "unknown", "low", "medium", "high", "critical"}

func (s Severity) String() string { return severityNames[s] }

// Title is the severity as GitLab's security reports spell it.
func (s Severity) Title() string { return strings.ToUpper(s.String()[:1]) + s.String()[1:] }

// ParseSeverity reads a severity's name in any case; the error lists the names.
func ParseSeverity(name string) (Severity, error) {
	for i, n := range severityNames {
		if strings.EqualFold(n, name) {
			return Severity(i), nil
		}
	}
	return Unknown, fmt.Errorf("severity %q is not one of %s", name, strings.Join(severityNames[:], ", "))
}

// SeverityOf reads the severities of other tools ("moderate", "negligible", "error"); the result is Unknown for other names.
func SeverityOf(name string) Severity {
	switch strings.ToLower(name) {
	case "critical", "blocker":
		return Critical
	case "high", "error", "major":
		return High
	case "medium", "moderate", "warning":
		return Medium
	case "low", "minor", "note":
		return Low
	case "info", "negligible", "none", "refactor", "convention":
		return Info
	}
	return Unknown
}

// SeverityOfScore reads a CVSS score from 0 to 10, by the bands that FIRST gives with CVSS 3.1, section 5.
func SeverityOfScore(score float64) Severity {
	switch {
	case score >= 9:
		return Critical
	case score >= 7:
		return High
	case score >= 4:
		return Medium
	case score > 0:
		return Low
	}
	return Info
}

// Score is a number in the middle of the severity's CVSS band, for formats that want one.
func (s Severity) Score() float64 {
	return [...]float64{Info: 0, Unknown: 5, Low: 2, Medium: 5.5, High: 8, Critical: 9.5}[s]
}

// Confidence is how certain a scanner is; greater is more certain. Scanners without this information count as certain.
type Confidence int

// The confidences, as gosec has them.
const (
	LowConfidence Confidence = iota
	MediumConfidence
	HighConfidence
)

var confidenceNames = [...]string{"low", "medium", "high"}

func (c Confidence) String() string { return confidenceNames[c] }

// ParseConfidence reads a confidence's name in any case; the error lists the names.
func ParseConfidence(name string) (Confidence, error) {
	for i, n := range confidenceNames {
		if strings.EqualFold(n, name) {
			return Confidence(i), nil
		}
	}
	return HighConfidence, fmt.Errorf("confidence %q is not one of %s", name, strings.Join(confidenceNames[:], ", "))
}
