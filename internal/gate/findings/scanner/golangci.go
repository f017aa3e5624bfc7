package scanner

import (
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// golangciReport is the output of `golangci-lint run --output.json.path FILE`.
type golangciReport struct {
	Issues []struct {
		Linter   string   `json:"FromLinter"`
		Text     string   `json:"Text"`
		Severity string   `json:"Severity"`
		Source   []string `json:"SourceLines"`
		Pos      struct {
			File   string `json:"Filename"`
			Line   int    `json:"Line"`
			Column int    `json:"Column"`
		} `json:"Pos"`
		Lines *struct{ From, To int } `json:"LineRange"`
	} `json:"Issues"`
	Report struct {
		Error    string `json:"Error"`
		Warnings []struct{ Tag, Text string }
	} `json:"Report"`
}

// linterSeverity is how bad a linter's objections are unless its configuration says otherwise. Code that does not
// compile is critical; what is likely wrong at run time is high; what may be is medium; the rest, low, is a matter of
// style. golangci-lint itself calls everything critical in its Code Quality report.
var linterSeverity = map[string]findings.Severity{
	"typecheck": findings.Critical,

	"bodyclose": findings.High, "contextcheck": findings.High, "durationcheck": findings.High, "errcheck": findings.High,
	"gosec": findings.High, "govet": findings.High, "makezero": findings.High,
	"nilerr": findings.High, "nilnesserr": findings.High, "rowserrcheck": findings.High, "sqlclosecheck": findings.High,
	"bidichk": findings.High, "loggercheck": findings.High, "recvcheck": findings.High, "zerologlint": findings.High,

	"asasalint": findings.Medium, "copyloopvar": findings.Medium, "errchkjson": findings.Medium, "errorlint": findings.Medium,
	"exhaustive": findings.Medium, "fatcontext": findings.Medium, "forcetypeassert": findings.Medium,
	"gochecknoglobals": findings.Medium, "gochecknoinits": findings.Medium, "ineffassign": findings.Medium, "musttag": findings.Medium,
	"nilnil": findings.Medium, "noctx": findings.Medium, "paralleltest": findings.Medium, "reassign": findings.Medium,
	"spancheck": findings.Medium, "staticcheck": findings.Medium, "testifylint": findings.Medium, "unused": findings.Medium,
	"wrapcheck": findings.Medium, "depguard": findings.Medium, "forbidigo": findings.Medium, "gomoddirectives": findings.Medium,
	"tparallel": findings.Medium,

	"godot": findings.Info, "godox": findings.Info, "lll": findings.Info, "misspell": findings.Info,
	"whitespace": findings.Info, "wsl_v5": findings.Info, "nlreturn": findings.Info, "gofmt": findings.Info,
	"gofumpt": findings.Info, "goimports": findings.Info, "gci": findings.Info, "golines": findings.Info, "swaggo": findings.Info,
}

func readGolangci(data []byte, _ Options) (*findings.Report, error) {
	var in golangciReport
	if err := decode(data, &in); err != nil {
		return nil, err
	}
	report := &findings.Report{
		Kind: findings.Quality,
		Tool: findings.Tool{ID: "golangci-lint", Name: "golangci-lint", Version: "unknown", Vendor: "golangci", URL: "https://golangci-lint.run"},
	}
	if in.Report.Error != "" {
		report.Problems = append(report.Problems, findings.Problem{Text: in.Report.Error})
	}
	for _, i := range in.Issues {
		if i.Linter == "typecheck" {
			// The linters need types; where these are missing they have said nothing at all.
			report.Problems = append(report.Problems, findings.Problem{File: i.Pos.File, Line: i.Pos.Line, Text: strings.TrimSpace(i.Text)})
		}
		f := findings.Finding{
			Rule: i.Linter, Name: i.Linter, Message: i.Text, Confidence: findings.HighConfidence,
			Location: findings.Location{File: i.Pos.File, Line: i.Pos.Line, Column: i.Pos.Column},
			Snippet:  strings.TrimSpace(strings.Join(i.Source, "\n")),
			Links:    []string{"https://golangci-lint.run/docs/linters/configuration/#" + strings.ReplaceAll(i.Linter, "_", "-")},
			Severity: findings.Low,
		}
		if i.Lines != nil && i.Lines.To > i.Pos.Line {
			f.Location.EndLine = i.Lines.To
		}
		if s, known := linterSeverity[i.Linter]; known {
			f.Severity = s
		}
		// staticcheck has both: SA is about what happens, S, ST and QF are about how it reads.
		if code, _, ok := strings.Cut(i.Text, ":"); ok && i.Linter == "staticcheck" && isCheck(code) {
			f.Rule, f.Name = code, "staticcheck "+code
			if !strings.HasPrefix(code, "SA") {
				f.Severity = findings.Low
			}
		}
		if s := findings.SeverityOf(i.Severity); s != findings.Unknown {
			f.Severity = s
		}
		report.Findings = append(report.Findings, f)
	}
	return report, nil
}

// isCheck reports whether a word is a code of staticcheck ("SA4006") and not the beginning of a sentence.
func isCheck(code string) bool {
	letters := strings.TrimRight(code, "0123456789")
	return len(code)-len(letters) == 4 && (letters == "SA" || letters == "S" || letters == "ST" || letters == "QF")
}
