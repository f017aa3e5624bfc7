package scanner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/mod/modfile"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// govulncheckMessage is one message of the stream that `govulncheck -format json` writes.
type govulncheckMessage struct {
	Config *struct {
		Version    string    `json:"scanner_version"`
		Database   string    `json:"db"`
		DBModified time.Time `json:"db_last_modified"`
	} `json:"config"`
	Progress *struct {
		Message string `json:"message"`
	} `json:"progress"`
	SBOM    json.RawMessage `json:"SBOM"`
	OSV     *osv            `json:"osv"`
	Finding *struct {
		OSV   string             `json:"osv"`
		Fixed string             `json:"fixed_version"`
		Trace []govulncheckFrame `json:"trace"`
	} `json:"finding"`
}

type osv struct {
	ID         string   `json:"id"`
	Aliases    []string `json:"aliases"`
	Summary    string   `json:"summary"`
	Details    string   `json:"details"`
	References []struct {
		URL string `json:"url"`
	} `json:"references"`
	Specific struct {
		URL string `json:"url"`
	} `json:"database_specific"`
}

type govulncheckFrame struct {
	Module   string `json:"module"`
	Version  string `json:"version"`
	Package  string `json:"package"`
	Function string `json:"function"`
	Receiver string `json:"receiver"`
	Position *struct {
		File   string `json:"filename"`
		Line   int    `json:"line"`
		Column int    `json:"column"`
	} `json:"position"`
}

// symbol is the frame's function as Go's documentation writes it: "net/http.(*ServeMux).ServeHTTP".
func (f govulncheckFrame) symbol() string {
	switch {
	case f.Receiver == "":
		return f.Package + "." + f.Function
	case strings.HasPrefix(f.Receiver, "*"):
		return f.Package + ".(" + f.Receiver + ")." + f.Function
	}
	return f.Package + "." + f.Receiver + "." + f.Function
}

// reach is how far the trace gets: a trace of a call has functions, one of an import has packages, one of a
// requirement has the module only.
func reach(trace []govulncheckFrame) findings.Reach {
	switch {
	case trace[0].Function != "":
		return findings.Called
	case trace[0].Package != "":
		return findings.Imported
	}
	return findings.Required
}

// reachSeverity replaces the severity, which Go's database does not have: a vulnerable function is called, its package is
// compiled in, or its module is only required.
var reachSeverity = map[findings.Reach]findings.Severity{
	findings.Called: findings.High, findings.Imported: findings.Medium, findings.Required: findings.Low,
}

var reachText = map[findings.Reach]string{
	findings.Called:   "this code calls %s",
	findings.Imported: "this code imports %s, and calls nothing vulnerable in it that is known",
	findings.Required: "%s is required, and no vulnerable package of it is compiled in",
}

func readGovulncheck(data []byte, o Options) (*findings.Report, error) {
	report := &findings.Report{
		Kind: findings.DependencyScanning,
		Tool: findings.Tool{ID: "govulncheck", Name: "govulncheck", Version: "unknown", Vendor: "The Go Authors",
			URL: "https://go.dev/doc/security/vuln/"},
		Database: &findings.Database{},
	}
	entries := map[string]*osv{}
	type key struct{ osv, module string }
	best := map[key]*findings.Finding{}
	var order []key
	var loaded, fetching, checked bool
	manifest := readManifest(o.Paths)
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		var m govulncheckMessage
		if err := d.Decode(&m); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("the report is invalid: %w", err)
		}
		switch {
		case m.Config != nil:
			if m.Config.Version != "" {
				report.Tool.Version = m.Config.Version
			}
			report.Database.URL, report.Database.Built = m.Config.Database, m.Config.DBModified
		case m.SBOM != nil:
			loaded = true
		case m.Progress != nil:
			fetching = fetching || strings.HasPrefix(m.Progress.Message, "Fetching vulnerabilities") || strings.HasPrefix(m.Progress.Message, "Looking up vulnerabilities")
			checked = checked || strings.HasPrefix(m.Progress.Message, "Checking the ")
		case m.OSV != nil:
			entries[m.OSV.ID] = m.OSV
		case m.Finding != nil:
			if len(m.Finding.Trace) == 0 {
				return nil, fmt.Errorf("the report is invalid: the finding %s has no trace", m.Finding.OSV)
			}
			at := m.Finding.Trace[0]
			k := key{m.Finding.OSV, at.Module}
			f := vulnerableModule(m.Finding.OSV, m.Finding.Fixed, m.Finding.Trace, manifest, o.Paths)
			old, known := best[k]
			if !known {
				order = append(order, k)
			}
			if !known || f.Severity > old.Severity || f.Severity == old.Severity && len(f.Trace) < len(old.Trace) {
				best[k] = f
			}
		}
	}
	switch {
	case checked:
	case fetching:
		// The stream ends where the database should have been read.
		return nil, fmt.Errorf("%w: %s", ErrUnreachable, report.Database.URL)
	case loaded:
		return nil, errors.New("the report is truncated: govulncheck ended before it compared anything")
	default:
		return nil, errors.New("the report is truncated: govulncheck could not load the packages; do they compile?")
	}
	sort.Slice(order, func(i, j int) bool {
		return order[i].osv < order[j].osv || order[i].osv == order[j].osv && order[i].module < order[j].module
	})
	for _, k := range order {
		f := best[k]
		entry := entries[k.osv]
		if entry == nil {
			return nil, fmt.Errorf("the report is invalid: there is no description of %s", k.osv)
		}
		f.Name, f.Description = entry.Summary, entry.Details
		if f.Name == "" {
			f.Name = k.osv
		}
		for _, alias := range entry.Aliases {
			f.Identifiers = append(f.Identifiers, vulnerability(alias))
		}
		if entry.Specific.URL != "" {
			f.Links = append(f.Links, entry.Specific.URL)
		}
		for _, r := range entry.References {
			f.Links = append(f.Links, r.URL)
		}
		report.Findings = append(report.Findings, *f)
	}
	return report, nil
}

// vulnerableModule makes the finding of one trace; the description of the vulnerability comes in another message.
func vulnerableModule(id, fixed string, trace []govulncheckFrame, m manifest, paths Paths) *findings.Finding {
	at := trace[0]
	r := reach(trace)
	what := map[findings.Reach]string{findings.Called: at.symbol(), findings.Imported: at.Package, findings.Required: at.Module}[r]
	line, direct := m.require(at.Module)
	f := &findings.Finding{
		Rule: id, Severity: reachSeverity[r], Confidence: findings.HighConfidence, Reach: r,
		Message:    fmt.Sprintf(reachText[r], what),
		Location:   findings.Location{File: "go.mod", Line: line},
		Dependency: &findings.Dependency{Package: at.Module, Version: at.Version, Fixed: fixed, Direct: direct},
	}
	switch {
	case fixed == "":
		f.Solution = "There is no fixed version yet."
	case at.Module == "stdlib":
		f.Solution = "Build with Go " + strings.TrimPrefix(fixed, "v") + " or newer: raise the toolchain in go.mod and the image of the job."
	default:
		f.Solution = fmt.Sprintf("go get %s@%s && go mod tidy", at.Module, fixed)
	}
	if r != findings.Called {
		return f
	}
	for i := len(trace) - 1; i >= 0; i-- {
		frame := findings.Frame{Function: trace[i].symbol()}
		// Only the project's own modules have no version; the files of the others are not in the repository.
		if p := trace[i].Position; p != nil && trace[i].Version == "" {
			if file, err := paths.Resolve(p.File); err == nil {
				frame.Location = findings.Location{File: file, Line: p.Line, EndLine: p.Line, Column: p.Column}
			}
		}
		f.Trace = append(f.Trace, frame)
	}
	return f
}

// manifest is the go.mod of the scanned module; nil if it cannot be read.
type manifest struct{ file *modfile.File }

func readManifest(paths Paths) manifest {
	if paths.Root == "" {
		return manifest{}
	}
	name := filepath.Join(paths.Root, filepath.FromSlash(paths.Prefix), "go.mod")
	data, err := os.ReadFile(name)
	if err != nil {
		return manifest{}
	}
	file, err := modfile.ParseLax(name, data, nil)
	if err != nil {
		return manifest{}
	}
	return manifest{file}
}

// require finds the line that requires a module, and reports whether the project itself requires it.
func (m manifest) require(module string) (line int, direct bool) {
	if m.file == nil {
		return 0, false
	}
	if module == "stdlib" {
		switch {
		case m.file.Toolchain != nil:
			return m.file.Toolchain.Syntax.Start.Line, true
		case m.file.Go != nil:
			return m.file.Go.Syntax.Start.Line, true
		}
		return 0, true
	}
	for _, r := range m.file.Require {
		if r.Mod.Path == module {
			return r.Syntax.Start.Line, !r.Indirect
		}
	}
	return 0, false
}
