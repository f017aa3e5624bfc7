package affected

import (
	"context"
	"path"
	"sort"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"gitlab.com/slipway-ci/slipway/internal/gate/gitdiff"
	"gitlab.com/slipway-ci/slipway/internal/gate/modules"
)

// A Result is what a change can affect.
type Result struct {
	// Packages are sorted by directory.
	Packages []Affected
	// Modules are the directories of the modules that have any of them.
	Modules []string
	// Unowned are changed files that no package is known to use.
	Unowned []string
}

// An Affected package is one whose tests have to run.
type Affected struct {
	Package
	// OnlyTests reports that the package itself is unchanged, and only its tests may behave differently.
	OnlyTests bool
	// Because is what connects the change with the package: a file, or an imported package.
	Because string
}

// Options are additional inputs of the analysis.
type Options struct {
	// All has patterns of files that affect every package, such as ".gitlab-ci.yml".
	All []string
}

// Of returns what a set of changes can affect in the present state of a repository.
func Of(ctx context.Context, g *Graph, set *gitdiff.Set, o Options) (*Result, error) {
	a := &analysis{ctx: ctx, graph: g, set: set, code: map[string]string{}, tests: map[string]string{}, closures: map[string]*closure{}}
	for _, file := range set.Files {
		paths := []string{file.Path}
		if file.Old != file.Path {
			paths = append(paths, file.Old)
		}
		for _, p := range paths {
			if matchesAny(o.All, p) {
				a.all(p)
			}
			if err := a.file(p); err != nil {
				return nil, err
			}
		}
	}
	a.propagate()
	return a.result(), nil
}

func matchesAny(patterns []string, file string) bool {
	for _, p := range patterns {
		if doublestar.MatchUnvalidated(p, file) {
			return true
		}
	}
	return false
}

// An analysis collects, by directory, whose code and whose tests are affected, and why.
type analysis struct {
	ctx         context.Context
	graph       *Graph
	set         *gitdiff.Set
	code, tests map[string]string
	unowned     []string
	closures    map[string]*closure
}

func mark(in map[string]string, dir, because string) {
	if _, known := in[dir]; !known {
		in[dir] = because
	}
}

func (a *analysis) all(because string) {
	for dir := range a.graph.packages {
		mark(a.code, dir, because)
	}
}

func (a *analysis) module(dir, because string) {
	for _, p := range a.graph.packages {
		if p.Module == dir {
			mark(a.code, p.Dir, because)
		}
	}
}

// built is what the compiler reads besides Go.
var built = map[string]bool{".s": true, ".S": true, ".sx": true, ".c": true, ".cc": true, ".cpp": true, ".cxx": true, ".m": true, ".h": true,
	".hh": true, ".hpp": true, ".hxx": true, ".f": true, ".F": true, ".for": true, ".f90": true, ".swig": true, ".swigcxx": true, ".syso": true}

// file marks the packages that a changed file affects directly.
func (a *analysis) file(file string) error {
	dir, base := path.Dir(file), path.Base(file)
	switch base {
	case "go.mod":
		return a.goMod(file)
	case "go.sum", "go.work.sum":
		return a.goSum(file)
	case "go.work":
		if dir == "." {
			for m := range a.graph.workspace {
				a.module(m, file)
			}
			return nil
		}
	}
	if i := strings.Index("/"+file, "/vendor/"); i >= 0 {
		a.vendored(path.Clean(strings.TrimSuffix(file[:i], "/")), file)
		return nil
	}
	owned := a.embedding(file)
	if data, ok := testdata(file); ok {
		if p := a.graph.owner(data); p != nil {
			mark(a.tests, p.Dir, file)
			owned = true
		}
	} else if !ignored(dir) {
		switch {
		case strings.HasSuffix(base, "_test.go"):
			mark(a.tests, dir, file)
			owned = true
		case strings.HasSuffix(base, ".go"):
			mark(a.code, dir, file)
			owned = true
		case a.graph.packages[dir] == nil:
		case built[path.Ext(base)]:
			mark(a.code, dir, file)
			owned = true
		case path.Ext(base) != ".md":
			// A file beside the code is most likely used by a test.
			mark(a.tests, dir, file)
			owned = true
		}
	}
	if !owned {
		a.unowned = append(a.unowned, file)
	}
	return nil
}

// embedding marks the packages that embed a file.
func (a *analysis) embedding(file string) (found bool) {
	for _, p := range a.graph.packages {
		relative, ok := strings.CutPrefix(file, p.Dir+"/")
		if p.Dir == "." {
			relative, ok = file, true
		}
		if !ok {
			continue
		}
		if embedded(p.embeds, relative) {
			mark(a.code, p.Dir, file)
			found = true
		}
		if embedded(p.testEmbeds, relative) {
			mark(a.tests, p.Dir, file)
			found = true
		}
	}
	return found
}

// testdata returns the directory that a testdata directory in the path lies in.
func testdata(file string) (dir string, ok bool) {
	before, _, ok := strings.Cut("/"+file, "/testdata/")
	return path.Clean(strings.TrimPrefix(before, "/")), ok
}

// ignored reports whether "./..." ignores a directory.
func ignored(dir string) bool {
	for _, part := range strings.Split(dir, "/") {
		if modules.Skip(part) {
			return true
		}
	}
	return false
}

// propagate marks the packages that import marked packages. A test that imports affected code is affected; tests are not
// imported.
func (a *analysis) propagate() {
	importers, testImporters := map[string][]*Package{}, map[string][]*Package{}
	for _, p := range a.graph.sorted() {
		for i := range p.imports {
			if dir, ok := a.graph.resolve(p.Module, i); ok {
				importers[dir] = append(importers[dir], p)
			}
		}
		for i := range p.testImports {
			if dir, ok := a.graph.resolve(p.Module, i); ok {
				testImporters[dir] = append(testImporters[dir], p)
			}
		}
	}
	queue := make([]string, 0, len(a.code))
	for dir := range a.code {
		queue = append(queue, dir)
	}
	sort.Strings(queue)
	for len(queue) > 0 {
		dir := queue[0]
		queue = queue[1:]
		because := dir
		if p := a.graph.packages[dir]; p != nil {
			because = p.ImportPath
		}
		for _, p := range importers[dir] {
			if _, known := a.code[p.Dir]; !known {
				a.code[p.Dir] = "imports " + because
				queue = append(queue, p.Dir)
			}
		}
		for _, p := range testImporters[dir] {
			mark(a.tests, p.Dir, "tests import "+because)
		}
	}
}

func (a *analysis) result() *Result {
	r := &Result{Unowned: a.unowned}
	seen := map[string]bool{}
	for _, p := range a.graph.sorted() {
		because, code := a.code[p.Dir]
		onlyTests := false
		if !code {
			if because, onlyTests = a.tests[p.Dir]; !onlyTests {
				continue
			}
		}
		r.Packages = append(r.Packages, Affected{Package: *p, OnlyTests: onlyTests, Because: because})
		if !seen[p.Module] {
			seen[p.Module] = true
			r.Modules = append(r.Modules, p.Module)
		}
	}
	sort.Strings(r.Modules)
	return r
}

// In returns the part of a result that is in one module, given its directory.
func (r *Result) In(module string) *Result {
	part := &Result{Unowned: r.Unowned}
	for _, p := range r.Packages {
		if p.Module == module {
			part.Packages = append(part.Packages, p)
			part.Modules = []string{module}
		}
	}
	return part
}
