// Package affected determines which packages and modules of a Go repository a change can affect, by the import graph.
//
// The graph is read from the source, for all operating systems and build tags together and without the go command, so it
// needs no network and is conservative: what it leaves out cannot be affected.
package affected

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"

	"gitlab.com/slipway-ci/slipway/internal/gate/modules"
	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

// A Package is a directory with Go files.
type Package struct {
	// ImportPath is its module's path and its directory below it; Dir is relative to the repository's root.
	ImportPath, Dir string
	// Module is the directory of its module.
	Module string
	// Main reports that it is a program, Tests that it has test files.
	Main, Tests bool

	// Imports of the package itself, and of its tests.
	imports, testImports map[string]bool
	// Patterns of go:embed, relative to Dir.
	embeds, testEmbeds []string
}

// A Graph is the packages of a repository, by directory, with their imports.
type Graph struct {
	root      string
	modules   []modules.Module
	workspace map[string]bool // directories of the modules that go.work uses
	packages  map[string]*Package
	// visible has, for each module, the module paths that are directories of this repository to it.
	visible map[string]map[string]string
}

// Load reads the packages of the modules below a root.
func Load(root string) (*Graph, error) {
	list, err := modules.Find(root)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("this repository has no go.mod")
	}
	g := &Graph{root: root, modules: list, workspace: map[string]bool{}, packages: map[string]*Package{}, visible: map[string]map[string]string{}}
	work, err := readWork(root)
	if err != nil {
		return nil, err
	}
	if work != nil {
		for _, use := range work.Use {
			g.workspace[path.Clean(use.Path)] = true
		}
	}
	if err := g.addReplaced(work); err != nil {
		return nil, err
	}
	for _, m := range g.modules {
		g.visible[m.Dir] = g.visibleTo(m, work)
	}
	for _, m := range g.modules {
		if err := g.readModule(m); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func readWork(root string) (*modfile.WorkFile, error) {
	name := filepath.Join(root, "go.work")
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return modfile.ParseWork(name, data, nil)
}

// addReplaced adds the modules that replace directives point to and that modules.Find does not see.
func (g *Graph) addReplaced(work *modfile.WorkFile) error {
	known := map[string]bool{}
	for _, m := range g.modules {
		known[m.Dir] = true
	}
	for i := 0; i < len(g.modules); i++ {
		m := g.modules[i]
		for _, dir := range localReplaces(m.File.Replace, m.Dir) {
			if known[dir] {
				continue
			}
			known[dir] = true
			found, err := modules.Parse(g.root, dir)
			if errors.Is(err, fs.ErrNotExist) {
				continue // the go command reports it better
			}
			if err != nil {
				return err
			}
			g.modules = append(g.modules, found)
		}
	}
	if work == nil {
		return nil
	}
	for dir := range g.workspace {
		if !known[dir] && filepath.IsLocal(filepath.FromSlash(dir)) {
			if m, err := modules.Parse(g.root, dir); err == nil {
				g.modules = append(g.modules, m)
			}
		}
	}
	return nil
}

// localReplaces maps module paths to directories of the repository.
func localReplaces(replaces []*modfile.Replace, dir string) map[string]string {
	local := map[string]string{}
	for _, r := range replaces {
		if !modfile.IsDirectoryPath(r.New.Path) || filepath.IsAbs(r.New.Path) {
			continue
		}
		if target := path.Join(dir, filepath.ToSlash(r.New.Path)); filepath.IsLocal(filepath.FromSlash(target)) {
			local[r.Old.Path] = target
		}
	}
	return local
}

// visibleTo lists the modules of the repository that a module builds with. Another module of the repository is not among
// them unless go.work or a replace directive makes them: otherwise the published version is used.
func (g *Graph) visibleTo(m modules.Module, work *modfile.WorkFile) map[string]string {
	visible := map[string]string{}
	if g.workspace[m.Dir] {
		for _, other := range g.modules {
			if g.workspace[other.Dir] {
				// In a workspace the replacements of all its modules hold for all.
				for p, dir := range localReplaces(other.File.Replace, other.Dir) {
					visible[p] = dir
				}
			}
		}
		for p, dir := range localReplaces(work.Replace, ".") {
			visible[p] = dir
		}
		for _, other := range g.modules {
			if g.workspace[other.Dir] {
				visible[other.Path] = other.Dir
			}
		}
	}
	for p, dir := range localReplaces(m.File.Replace, m.Dir) {
		if _, known := visible[p]; !known {
			visible[p] = dir
		}
	}
	visible[m.Path] = m.Dir
	return visible
}

// resolve returns the directory of an import; ok is false if the package is not of this repository.
func (g *Graph) resolve(module, importPath string) (dir string, ok bool) {
	longest := -1
	for p, d := range g.visible[module] {
		if len(p) > longest && (importPath == p || strings.HasPrefix(importPath, p+"/")) {
			longest, dir = len(p), path.Join(d, strings.TrimPrefix(importPath, p))
		}
	}
	return dir, longest >= 0
}

func (g *Graph) readModule(m modules.Module) error {
	top := filepath.Join(g.root, filepath.FromSlash(m.Dir))
	return filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == top {
				return nil
			}
			if modules.Skip(d.Name()) {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
			return nil
		}
		relative, err := filepath.Rel(g.root, filepath.Dir(name))
		if err != nil {
			return err
		}
		return g.readFile(m, filepath.ToSlash(relative), name)
	})
}

func (g *Graph) readFile(m modules.Module, dir, name string) error {
	source, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	// A file that does not parse still belongs to its package; the compiler reports what is wrong with it.
	file, _ := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly|parser.ParseComments)
	if file == nil || isScript(file) {
		return nil
	}
	p := g.packages[dir]
	if p == nil {
		below := strings.TrimPrefix(strings.TrimPrefix(dir, m.Dir), "/")
		if m.Dir == "." {
			below = dir
		}
		p = &Package{ImportPath: path.Join(m.Path, below), Dir: dir, Module: m.Dir, imports: map[string]bool{}, testImports: map[string]bool{}}
		g.packages[dir] = p
	}
	imports, embeds := p.imports, &p.embeds
	if strings.HasSuffix(name, "_test.go") {
		p.Tests = true
		imports, embeds = p.testImports, &p.testEmbeds
	} else if file.Name != nil && file.Name.Name == "main" {
		p.Main = true
	}
	for _, i := range file.Imports {
		importPath, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		imports[importPath] = true
		if importPath == "embed" {
			*embeds = append(*embeds, embedPatterns(source)...)
		}
	}
	return nil
}

// isScript reports whether a file is run by itself (`//go:build ignore`) and belongs to no package.
func isScript(file *ast.File) bool {
	for _, group := range file.Comments {
		if group.Pos() > file.Package {
			break
		}
		for _, c := range group.List {
			if strings.TrimSpace(c.Text) == "//go:build ignore" {
				return true
			}
		}
	}
	return false
}

var embedDirective = lazyregexp.New(`(?m)^\s*//go:embed[ \t]+(.+)$`)

// embedPatterns reads the patterns of all go:embed directives; they may be quoted.
func embedPatterns(source []byte) []string {
	var patterns []string
	for _, match := range embedDirective().FindAllSubmatch(source, -1) {
		for rest := bytes.TrimSpace(match[1]); len(rest) > 0; rest = bytes.TrimSpace(rest) {
			if quoted, err := strconv.QuotedPrefix(string(rest)); err == nil {
				if plain, err := strconv.Unquote(quoted); err == nil {
					patterns = append(patterns, plain)
				}
				rest = rest[len(quoted):]
				continue
			}
			word, after, _ := bytes.Cut(rest, []byte(" "))
			patterns = append(patterns, string(word))
			rest = after
		}
	}
	return patterns
}

// embedded reports whether patterns match a file; file is relative to their package. A pattern that names a directory
// matches all files below it.
func embedded(patterns []string, file string) bool {
	for _, pattern := range patterns {
		pattern = strings.TrimPrefix(pattern, "all:")
		for name := file; name != "."; name = path.Dir(name) {
			if ok, err := path.Match(pattern, name); ok && err == nil {
				return true
			}
		}
		if pattern == "." {
			return true
		}
	}
	return false
}

// sorted returns the packages sorted by directory.
func (g *Graph) sorted() []*Package {
	list := make([]*Package, 0, len(g.packages))
	for _, p := range g.packages {
		list = append(list, p)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Dir < list[j].Dir })
	return list
}

// owner returns the package of the nearest directory at or above dir.
func (g *Graph) owner(dir string) *Package {
	for ; ; dir = path.Dir(dir) {
		if p := g.packages[dir]; p != nil {
			return p
		}
		if dir == "." || dir == "/" {
			return nil
		}
	}
}

// external reports whether an import is neither of this repository nor of the standard library, whose paths have no dot in
// their first element.
func (g *Graph) external(module, importPath string) bool {
	if _, ok := g.resolve(module, importPath); ok {
		return false
	}
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".")
}
