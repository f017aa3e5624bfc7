package coverage

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/gate/gitdiff"
	"gitlab.com/slipway-ci/slipway/internal/gate/modules"
)

// Changed is the coverage of the lines that a change has touched.
type Changed struct {
	// Lines counts the changed lines that have code.
	Lines Ratio
	// Uncovered are those that no test has run, by file and line.
	Uncovered []Span
}

// A Span is a run of lines of a file, from First to Last inclusive. Unmeasured says that the profile does not know the
// file at all, because no test run included its package.
type Span struct {
	File        string
	First, Last int
	Unmeasured  bool
}

func (s Span) String() string {
	if s.First == s.Last {
		return fmt.Sprintf("%s:%d", s.File, s.First)
	}
	return fmt.Sprintf("%s:%d-%d", s.File, s.First, s.Last)
}

// OfChanges returns how much of a change is covered. Files that count and are not in the profile are not covered; files
// that [Locate] would leave out do not count.
func OfChanges(root string, p *Profile, set *gitdiff.Set, exclude []string) (*Changed, error) {
	list, err := modules.Find(root)
	if err != nil {
		return nil, err
	}
	measured := map[string]File{}
	for _, f := range p.Files {
		measured[f.Path] = f
	}
	result := &Changed{}
	for _, change := range set.Files {
		if change.Deleted || !countsAsSource(list, change.Path) {
			continue
		}
		f, known := measured[change.Path]
		var hits map[int]int64
		if known {
			hits, err = lineHits(root, f)
		} else {
			hits, err = unmeasured(root, change.Path, exclude)
		}
		if err != nil {
			return nil, err
		}
		var lines []int
		for line, count := range hits {
			if !set.Touches(change.Path, line, line) {
				continue
			}
			result.Lines.All++
			if count > 0 {
				result.Lines.Covered++
			} else {
				lines = append(lines, line)
			}
		}
		result.Uncovered = append(result.Uncovered, spans(change.Path, lines, hits, !known)...)
	}
	return result, nil
}

// countsAsSource reports whether a path is Go code that `go test ./...` of some module would compile into a program.
func countsAsSource(list []modules.Module, file string) bool {
	if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
		return false
	}
	dir := path.Dir(file)
	for _, part := range strings.Split(dir, "/") {
		if modules.Skip(part) {
			return false
		}
	}
	for _, m := range list {
		if m.Dir == "." || dir == m.Dir || strings.HasPrefix(dir, m.Dir+"/") {
			return true
		}
	}
	return false
}

// unmeasured lists the lines with code in the functions of a file that the profile does not know. There are none in
// files that are generated, excluded, or not for this operating system.
func unmeasured(root, file string, exclude []string) (map[int]int64, error) {
	if why, err := leaveOut(root, file, exclude); err != nil || why != counts {
		return nil, err
	}
	name := filepath.Join(root, filepath.FromSlash(file))
	if match, err := build.Default.MatchFile(filepath.Dir(name), filepath.Base(name)); err != nil || !match {
		return nil, err
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	whole := File{Path: file}
	ast.Inspect(tree, func(n ast.Node) bool {
		body, ok := n.(*ast.BlockStmt)
		if !ok {
			return true
		}
		start, end := set.Position(body.Lbrace), set.Position(body.Rbrace)
		whole.Blocks = append(whole.Blocks, Block{StartLine: start.Line, StartColumn: start.Column, EndLine: end.Line, EndColumn: end.Column})
		return false
	})
	return lineHits(root, whole)
}

// spans joins lines that have no covered line between them.
func spans(file string, lines []int, hits map[int]int64, unmeasured bool) []Span {
	sort.Ints(lines)
	var list []Span
	for _, line := range lines {
		if n := len(list); n > 0 && joined(list[n-1].Last, line, hits) {
			list[n-1].Last = line
			continue
		}
		list = append(list, Span{File: file, First: line, Last: line, Unmeasured: unmeasured})
	}
	return list
}

// joined reports whether there is nothing but blanks and braces between two lines.
func joined(last, next int, hits map[int]int64) bool {
	for line := last + 1; line < next; line++ {
		if _, code := hits[line]; code {
			return false
		}
	}
	return next-last <= 3
}
