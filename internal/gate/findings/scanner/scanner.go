// Package scanner reads the output of scanners: their own formats, SARIF, and GitLab's reports.
//
// A reader rejects what is empty, cut off or of another tool: a scan without findings is not the same as no scan.
package scanner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// ErrUnreachable is in the error of a read if the scanner could not get its database. That says nothing
// about the change, so a pipeline may treat it differently.
var ErrUnreachable = errors.New("the scanner could not reach its vulnerability database")

// Options say how to understand a report's paths.
type Options struct {
	Paths Paths
	// Log is what the scanner wrote to standard error. Some say only there why their report is empty.
	Log []byte
}

// A format is a reader, and how its input is recognized.
type format struct {
	name string
	// detect looks at the first JSON value of the report.
	detect func(first json.RawMessage) bool
	read   func(data []byte, o Options) (*findings.Report, error)
}

var formats = []format{
	{"gosec", hasKeys("GosecVersion", "Issues"), readGosec},
	{"govulncheck", hasKeys("config"), readGovulncheck},
	{"golangci", hasKeys("Issues", "Report"), readGolangci},
	{"gitleaks", isGitleaks, readGitleaks},
	{"grype", hasKeys("matches", "descriptor"), readGrype},
	{"sarif", hasKeys("runs"), readSARIF},
	{"gitlab", hasKeys("scan", "vulnerabilities"), readGitLab},
}

// Formats are the names that [Read] understands.
func Formats() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return names
}

// Read reads a report of the named format, or, if the name is empty, of the format that is recognized. The findings are
// sorted by severity, file and line, and have their fingerprints.
//
// The error wraps [ErrUnreachable] if the scanner could not get its database.
func Read(name string, r io.Reader, o Options) (*findings.Report, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	report, err := read(name, data, o)
	if err != nil {
		if !errors.Is(err, ErrUnreachable) && unreachable(o.Log) {
			err = fmt.Errorf("%w: %s", ErrUnreachable, lastLine(o.Log))
		}
		return nil, err
	}
	for i := range report.Problems {
		// What could not be read may not be there at all, so the path need not exist.
		if inside, err := o.Paths.anyTime().Resolve(report.Problems[i].File); err == nil {
			report.Problems[i].File = inside
		}
	}
	for i := range report.Findings {
		l, paths := &report.Findings[i].Location, o.Paths
		if report.Findings[i].Commit != nil {
			paths = paths.anyTime()
		}
		if l.File, err = paths.Resolve(l.File); err != nil {
			return nil, err
		}
		l.EndLine = max(l.Line, l.EndLine)
	}
	sort.SliceStable(report.Findings, func(i, j int) bool {
		a, b := report.Findings[i], report.Findings[j]
		if a.Severity != b.Severity {
			return a.Severity > b.Severity
		}
		if a.Location.File != b.Location.File {
			return a.Location.File < b.Location.File
		}
		if a.Location.Line != b.Location.Line {
			return a.Location.Line < b.Location.Line
		}
		return a.Rule < b.Rule
	})
	report.Fingerprint()
	return report, nil
}

func read(name string, data []byte, o Options) (*findings.Report, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("the report is empty: the scanner wrote nothing, so nothing was checked")
	}
	var first json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&first); err != nil {
		return nil, fmt.Errorf("the report is not complete JSON: %w", err)
	}
	if name == "" {
		for _, f := range formats {
			if f.detect(first) {
				return f.read(data, o)
			}
		}
		return nil, fmt.Errorf("the format of the report is unknown; name it, as in gitleaks=FILE (one of %s)",
			strings.Join(Formats(), ", "))
	}
	for _, f := range formats {
		if f.name != name {
			continue
		}
		if !f.detect(first) && (name != "gitleaks" || !isEmptyArray(first)) {
			return nil, fmt.Errorf("the report is not one of %s", name)
		}
		return f.read(data, o)
	}
	return nil, fmt.Errorf("unknown format %q; known are %s", name, strings.Join(Formats(), ", "))
}

// hasKeys recognizes objects by keys that only they have.
func hasKeys(keys ...string) func(json.RawMessage) bool {
	return func(first json.RawMessage) bool {
		var object map[string]json.RawMessage
		if json.Unmarshal(first, &object) != nil {
			return false
		}
		for _, k := range keys {
			if _, ok := object[k]; !ok {
				return false
			}
		}
		return true
	}
}

func isEmptyArray(first json.RawMessage) bool {
	var array []json.RawMessage
	return json.Unmarshal(first, &array) == nil && array != nil && len(array) == 0
}

// decode reads one JSON value and nothing after it.
func decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("the report is invalid: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("the report is invalid: there is more after its end")
	}
	return nil
}

// signs are parts of the network errors of Go programs.
var signs = []string{
	"no such host", "connection refused", "connection reset", "i/o timeout", "network is unreachable", "no route to host",
	"tls handshake", "x509:", "context deadline exceeded", "temporary failure in name resolution", "fetching vulnerabilities",
	"unrecognized vulndb format", "unable to update vulnerability database", "failed to load vulnerability db",
	"unexpected eof from", "proxyconnect",
}

// unreachable reports whether a scanner's log mentions a database that it could not download.
func unreachable(log []byte) bool {
	text := strings.ToLower(string(log))
	for _, s := range signs {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

func lastLine(log []byte) string {
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
