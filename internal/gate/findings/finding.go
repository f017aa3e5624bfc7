// Package findings has the results of scanners in one form: rule, severity, confidence, place, and remedy.
//
// Readers of the scanners' own output are in the package scanner, writers of the formats that GitLab and SonarQube read
// in the package report, the file of accepted risks in the package risk, and the decision in the package verdict.
package findings

import "time"

// A Kind is the kind of problem that a scanner finds; its text is GitLab's name for the type of a scan, or "quality".
type Kind string

const (
	// SAST finds weaknesses in the source code.
	SAST Kind = "sast"
	// DependencyScanning finds vulnerable modules.
	DependencyScanning Kind = "dependency_scanning"
	// ContainerScanning finds vulnerable packages in an image.
	ContainerScanning Kind = "container_scanning"
	// SecretDetection finds keys and passwords in the history.
	SecretDetection Kind = "secret_detection"
	// Quality is what linters find; GitLab has no security report for it.
	Quality Kind = "quality"
)

// A Tool is the scanner.
type Tool struct {
	// ID is the command's name, as in "gosec".
	ID string
	// Name, Version, Vendor and URL are for people; Version may be "unknown".
	Name, Version, Vendor, URL string
}

// A Report is one run of a scanner.
type Report struct {
	Tool Tool
	Kind Kind
	// Findings are sorted, the worst first, and include the suppressed ones where the scanner reports them; see [Finding.Suppressed].
	Findings []Finding
	// Problems are what the scanner could not examine. A report with problems proves nothing about what it does not
	// mention, so every gate fails on it.
	Problems []Problem
	// Database is the vulnerability database of the scanner; nil if it needs no database.
	Database *Database
	// Image is the image that was scanned, with its operating system; empty for anything else.
	Image, OperatingSystem string
}

// Open returns the findings that are not suppressed in the source.
func (r *Report) Open() []Finding {
	var open []Finding
	for _, f := range r.Findings {
		if f.Suppressed == nil {
			open = append(open, f)
		}
	}
	return open
}

// A Problem is something that a scanner could not examine.
type Problem struct {
	// File may be empty; Line is 0 if unknown.
	File string
	Line int
	Text string
}

// A Database is a vulnerability database.
type Database struct {
	URL string
	// Built is when it was last changed; zero if unknown.
	Built time.Time
}

// A Finding is one problem that a scanner found.
type Finding struct {
	// Rule is the scanner's name of the rule: "G304", "GO-2024-2687", "errcheck", "aws-access-token".
	Rule string
	// Name is the rule's, the same for all its findings; Message is about this one.
	Name, Message string
	// Description is the rule's longer text; may be empty.
	Description string
	Severity    Severity
	Confidence  Confidence
	Location    Location
	// Snippet is the source at the location, without line numbers; never a secret.
	Snippet string
	// Identifiers name the weakness or vulnerability in public lists (CWE, CVE, GHSA); the rule is not among them.
	Identifiers []Identifier
	// Solution says how to fix it; Links lead to more information.
	Solution string
	Links    []string
	// Suppressed is set if a comment in the source suppresses the finding (`#nosec`).
	Suppressed *Suppression
	// Dependency is set for vulnerable modules and packages; Reach says how a module is used.
	Dependency *Dependency
	Reach      Reach
	// Trace leads from the repository's code to a vulnerable function, one frame per line.
	Trace []Frame
	// Commit is set for secrets found in the history.
	Commit *Commit
	// Fingerprint stays the same when lines above the finding move; [Report.Fingerprint] sets it.
	Fingerprint string
}

// Matches reports whether id is the finding's rule or one of its identifiers.
func (f *Finding) Matches(id string) bool {
	if f.Rule == id {
		return true
	}
	for _, i := range f.Identifiers {
		if i.Value == id || i.Name == id {
			return true
		}
	}
	return false
}

// A Location is a place in the repository.
type Location struct {
	// File is relative to the repository's root, with slashes.
	File string
	// Lines and columns count from 1 and are 0 if unknown; EndLine is never before Line.
	Line, EndLine     int
	Column, EndColumn int
}

// An Identifier names a weakness or a vulnerability in a public list.
type Identifier struct {
	// Type is GitLab's: "cwe", "cve", "ghsa", "gosec_rule_id" and so on.
	Type string
	// Name is for people ("CWE-22"), Value for matching ("22"); URL may be empty.
	Name, Value, URL string
}

// A Suppression is a comment in the source that suppresses a finding.
type Suppression struct{ Justification string }

// A Dependency is a module or a package that the project uses.
type Dependency struct {
	Package, Version string
	// Fixed is the first version without the vulnerability; empty if there is none.
	Fixed string
	// Direct reports that the project itself requires it.
	Direct bool
}

// Reach is how a vulnerable module is used.
type Reach string

const (
	// Called means that the project's code calls a vulnerable function.
	Called Reach = "called"
	// Imported means that a vulnerable package is compiled in, but no vulnerable function is known to be called.
	Imported Reach = "imported"
	// Required means that a module is required of which no vulnerable package is compiled in.
	Required Reach = "required"
)

// A Frame is one step of a trace.
type Frame struct {
	Function string
	Location Location
}

// A Commit is the one that added a secret.
type Commit struct {
	SHA, Author, Message string
	Date                 time.Time
}
