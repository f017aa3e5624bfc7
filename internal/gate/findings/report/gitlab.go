package report

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
	"gitlab.com/slipway-ci/slipway/internal/report"
)

// SchemaVersion is the version of GitLab's security report format that [GitLab] writes. GitLab refuses versions that it
// does not know; this one is known since GitLab 17.3.
const SchemaVersion = "15.1.4"

type (
	securityReport struct {
		Version         string          `json:"version"`
		Scan            scan            `json:"scan"`
		Vulnerabilities []vulnerability `json:"vulnerabilities"`
	}
	scan struct {
		Analyzer  analyzer      `json:"analyzer"`
		Scanner   analyzer      `json:"scanner"`
		Type      findings.Kind `json:"type"`
		StartTime string        `json:"start_time"`
		EndTime   string        `json:"end_time"`
		Status    string        `json:"status"`
		Messages  []message     `json:"messages,omitempty"`
	}
	analyzer struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		URL     string `json:"url,omitempty"`
		Version string `json:"version"`
		Vendor  vendor `json:"vendor"`
	}
	vendor struct {
		Name string `json:"name"`
	}
	message struct {
		Level string `json:"level"`
		Value string `json:"value"`
	}
	vulnerability struct {
		ID          string       `json:"id"`
		Name        string       `json:"name"`
		Description string       `json:"description"`
		Severity    string       `json:"severity"`
		Solution    string       `json:"solution,omitempty"`
		Identifiers []identifier `json:"identifiers"`
		Links       []link       `json:"links,omitempty"`
		Location    any          `json:"location"`
		Tracking    *tracking    `json:"tracking,omitempty"`
		Extract     string       `json:"raw_source_code_extract,omitempty"`
	}
	identifier struct {
		Type  string `json:"type"`
		Name  string `json:"name"`
		Value string `json:"value"`
		URL   string `json:"url,omitempty"`
	}
	link struct {
		URL string `json:"url"`
	}
	tracking struct {
		Type  string         `json:"type"`
		Items []trackingItem `json:"items"`
	}
	trackingItem struct {
		File       string      `json:"file"`
		StartLine  int         `json:"start_line"`
		EndLine    int         `json:"end_line"`
		Signatures []signature `json:"signatures"`
	}
	signature struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"value"`
	}
	sourceLocation struct {
		File      string  `json:"file"`
		StartLine int     `json:"start_line,omitempty"`
		EndLine   int     `json:"end_line,omitempty"`
		Commit    *commit `json:"commit,omitempty"`
	}
	commit struct {
		SHA     string `json:"sha"`
		Author  string `json:"author,omitempty"`
		Date    string `json:"date,omitempty"`
		Message string `json:"message,omitempty"`
	}
	dependencyLocation struct {
		File       string     `json:"file"`
		Dependency dependency `json:"dependency"`
	}
	imageLocation struct {
		Dependency      dependency `json:"dependency"`
		OperatingSystem string     `json:"operating_system"`
		Image           string     `json:"image"`
	}
	dependency struct {
		Package packageName `json:"package"`
		Version string      `json:"version"`
		Direct  bool        `json:"direct,omitempty"`
	}
	packageName struct {
		Name string `json:"name"`
	}
)

// GitLab returns the writer of GitLab's security report for a scan that ran from start to end.
// Its reports are of the type of the findings; [findings.Quality] has none and is an error.
func GitLab(start, end time.Time) Writer {
	return func(w io.Writer, r *findings.Report) error {
		if r.Kind == findings.Quality {
			return errors.New("GitLab has no security report for linters; write a Code Quality report")
		}
		out := securityReport{Version: SchemaVersion, Vulnerabilities: []vulnerability{}}
		tool := analyzer{ID: r.Tool.ID, Name: r.Tool.Name, URL: r.Tool.URL, Version: orUnknown(r.Tool.Version), Vendor: vendor{orUnknown(r.Tool.Vendor)}}
		const layout = "2006-01-02T15:04:05"
		out.Scan = scan{
			Analyzer: tool, Scanner: tool, Type: r.Kind, Status: "success",
			StartTime: start.UTC().Format(layout), EndTime: end.UTC().Format(layout),
		}
		for _, p := range r.Problems {
			out.Scan.Messages = append(out.Scan.Messages, message{"warn", problemText(p)})
		}
		for _, f := range r.Open() {
			out.Vulnerabilities = append(out.Vulnerabilities, securityFinding(r, f))
		}
		return report.JSON(w, out)
	}
}

func orUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}

func problemText(p findings.Problem) string {
	if p.File == "" {
		return p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

func securityFinding(r *findings.Report, f findings.Finding) vulnerability {
	v := vulnerability{
		ID: uuid(f.Fingerprint), Name: report.Clip(f.Name, 255), Description: description(f), Severity: f.Severity.Title(),
		Solution: report.Clip(f.Solution, 7000), Location: location(r, f),
		Identifiers: []identifier{primary(r, f)},
	}
	for _, i := range f.Identifiers {
		v.Identifiers = append(v.Identifiers, identifier(i))
	}
	for _, l := range f.Links {
		if strings.HasPrefix(l, "https://") || strings.HasPrefix(l, "http://") {
			v.Links = append(v.Links, link{l})
		}
	}
	if r.Kind == findings.SAST {
		v.Extract = f.Snippet
		// GitLab keeps the state of a vulnerability by this signature, where it would otherwise go by the line.
		v.Tracking = &tracking{Type: "source", Items: []trackingItem{{
			File: f.Location.File, StartLine: f.Location.Line, EndLine: f.Location.EndLine,
			Signatures: []signature{{"hash", f.Fingerprint}},
		}}}
	}
	return v
}

// primary is the identifier that GitLab sorts and matches by.
func primary(r *findings.Report, f findings.Finding) identifier {
	i := identifier{Type: strings.ReplaceAll(r.Tool.ID, "-", "_") + "_rule_id", Name: r.Tool.Name + " rule " + f.Rule, Value: f.Rule}
	if f.Dependency != nil {
		i.Type, i.Name = "other", f.Rule
		for prefix, kind := range map[string]string{"CVE-": "cve", "GHSA-": "ghsa", "GO-": "go"} {
			if strings.HasPrefix(f.Rule, prefix) {
				i.Type = kind
			}
		}
	}
	return i
}

func description(f findings.Finding) string {
	parts := []string{}
	for _, p := range []string{f.Message, f.Description} {
		if p != "" && (len(parts) == 0 || parts[0] != p) {
			parts = append(parts, p)
		}
	}
	if len(f.Trace) > 0 {
		lines := []string{"Called by:", ""}
		for _, frame := range f.Trace {
			line := "- `" + frame.Function + "`"
			if frame.Location.File != "" {
				line += fmt.Sprintf(" at %s:%d", frame.Location.File, frame.Location.Line)
			}
			lines = append(lines, line)
		}
		parts = append(parts, strings.Join(lines, "\n"))
	}
	return report.Clip(strings.Join(parts, "\n\n"), 1<<20)
}

func location(r *findings.Report, f findings.Finding) any {
	d := dependency{}
	if f.Dependency != nil {
		d = dependency{Package: packageName{f.Dependency.Package}, Version: f.Dependency.Version, Direct: f.Dependency.Direct}
	}
	switch r.Kind {
	case findings.DependencyScanning:
		return dependencyLocation{File: f.Location.File, Dependency: d}
	case findings.ContainerScanning:
		return imageLocation{Dependency: d, OperatingSystem: r.OperatingSystem, Image: r.Image}
	}
	l := sourceLocation{File: f.Location.File, StartLine: f.Location.Line, EndLine: f.Location.EndLine}
	if r.Kind == findings.SecretDetection {
		// The schema wants a commit; GitLab's own analyzer writes zeros for a file that is in none.
		l.Commit = &commit{SHA: "0000000"}
		if f.Commit != nil {
			l.Commit = &commit{SHA: f.Commit.SHA, Author: f.Commit.Author, Message: f.Commit.Message}
			if !f.Commit.Date.IsZero() {
				l.Commit.Date = f.Commit.Date.Format(time.RFC3339)
			}
		}
	}
	return l
}

// uuid lays 32 hexadecimal digits out as a UUID of version 8 (RFC 9562: a vendor's own).
func uuid(digits string) string {
	if len(digits) != 32 {
		return digits
	}
	return digits[:8] + "-" + digits[8:12] + "-8" + digits[13:16] + "-8" + digits[17:20] + "-" + digits[20:]
}
