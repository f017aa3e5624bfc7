package affected

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"

	"gitlab.com/slipway-ci/slipway/internal/gate/gitdiff"
	"gitlab.com/slipway-ci/slipway/internal/gate/modules"
)

// goMod compares a go.mod with its previous version.
func (a *analysis) goMod(file string) error {
	dir := path.Dir(file)
	now := a.moduleAt(dir)
	text, existed := gitdiff.Show(a.ctx, a.set.Root, a.set.Base, file)
	if now == nil || !existed {
		// The module was added or removed: all of it is affected, and all that builds with it.
		a.module(dir, file)
		if existed {
			a.gone(dir, text, file)
		}
		return nil
	}
	before, err := modules.ParseFile(file, []byte(text))
	if err != nil {
		// The previous requirements are unknown, so all of them count as changed.
		before = &modfile.File{}
	}
	if !sameLanguage(before, now.File) {
		a.module(dir, file)
		return nil
	}
	if changed := changedModules(before, now.File); len(changed) > 0 {
		for _, m := range a.buildsWith(dir) {
			a.dependencies(m, changed, file)
		}
	}
	return nil
}

func (a *analysis) moduleAt(dir string) *modules.Module {
	for i := range a.graph.modules {
		if a.graph.modules[i].Dir == dir {
			return &a.graph.modules[i]
		}
	}
	return nil
}

// gone marks the packages that import a removed module.
func (a *analysis) gone(dir, text, because string) {
	before, err := modules.ParseFile(path.Join(dir, "go.mod"), []byte(text))
	if err != nil || before.Module == nil {
		return
	}
	changed := map[string]bool{before.Module.Mod.Path: true}
	for _, m := range a.graph.modules {
		a.dependencies(m.Dir, changed, because)
	}
}

// buildsWith returns the modules that share a build list with one: its workspace, or itself.
func (a *analysis) buildsWith(dir string) []string {
	if !a.graph.workspace[dir] {
		return []string{dir}
	}
	var list []string
	for m := range a.graph.workspace {
		list = append(list, m)
	}
	return list
}

// sameLanguage reports whether two go.mod files have the same module, language and toolchain.
func sameLanguage(a, b *modfile.File) bool {
	return moduleLine(a) == moduleLine(b) && goLine(a) == goLine(b) && toolchainLine(a) == toolchainLine(b) && godebugLines(a) == godebugLines(b)
}

func moduleLine(f *modfile.File) string {
	if f.Module == nil {
		return ""
	}
	return f.Module.Mod.Path
}

func goLine(f *modfile.File) string {
	if f.Go == nil {
		return ""
	}
	return f.Go.Version
}

func toolchainLine(f *modfile.File) string {
	if f.Toolchain == nil {
		return ""
	}
	return f.Toolchain.Name
}

func godebugLines(f *modfile.File) string {
	var b strings.Builder
	for _, g := range f.Godebug {
		b.WriteString(g.Key + "=" + g.Value + "\n")
	}
	return b.String()
}

// changedModules returns the modules that two go.mod files require differently.
func changedModules(before, now *modfile.File) map[string]bool {
	choices := func(f *modfile.File) map[string]string {
		m := map[string]string{}
		for _, r := range f.Require {
			m[r.Mod.Path] += " " + r.Mod.Version
		}
		for _, r := range f.Replace {
			m[r.Old.Path] += " " + r.Old.Version + "=>" + r.New.Path + "@" + r.New.Version
		}
		for _, e := range f.Exclude {
			m[e.Mod.Path] += " !" + e.Mod.Version
		}
		return m
	}
	return differing(choices(before), choices(now))
}

func differing(a, b map[string]string) map[string]bool {
	changed := map[string]bool{}
	for k, v := range a {
		if b[k] != v {
			changed[k] = true
		}
	}
	for k, v := range b {
		if a[k] != v {
			changed[k] = true
		}
	}
	return changed
}

// goSum looks for modules whose content has another hash under the same version. Added and removed lines mean nothing by
// themselves: go.mod decides which versions are built.
func (a *analysis) goSum(file string) error {
	text, existed := gitdiff.Show(a.ctx, a.set.Root, a.set.Base, file)
	now, err := os.ReadFile(filepath.Join(a.graph.root, filepath.FromSlash(file)))
	if !existed || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	before, after := hashes(text), hashes(string(now))
	changed := map[string]bool{}
	for k, v := range before {
		if h, ok := after[k]; ok && h != v {
			module, _, _ := strings.Cut(k, " ")
			changed[module] = true
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if path.Base(file) == "go.work.sum" {
		for m := range a.graph.workspace {
			a.dependencies(m, changed, file)
		}
		return nil
	}
	for _, m := range a.buildsWith(path.Dir(file)) {
		a.dependencies(m, changed, file)
	}
	return nil
}

// hashes reads a go.sum: the hash of each module's content, by path and version.
func hashes(text string) map[string]string {
	m := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if f := strings.Fields(line); len(f) == 3 && !strings.HasSuffix(f[1], "/go.mod") {
			m[f[0]+" "+f[1]] = f[2]
		}
	}
	return m
}

// vendored marks the packages of a module that import external packages.
func (a *analysis) vendored(module, because string) {
	for _, m := range a.buildsWith(module) {
		a.dependencies(m, nil, because)
	}
}

// dependencies marks the packages of a module that build with any of some modules; with any external package if the
// list is nil.
func (a *analysis) dependencies(module string, changed map[string]bool, because string) {
	for _, p := range a.graph.packages {
		if p.Module != module {
			continue
		}
		if a.uses(p, p.imports, changed) {
			mark(a.code, p.Dir, because)
		}
		if a.uses(p, p.testImports, changed) {
			mark(a.tests, p.Dir, because)
		}
	}
}

func (a *analysis) uses(p *Package, imports map[string]bool, changed map[string]bool) bool {
	for i := range imports {
		// A module of this repository may be both required and replaced.
		if dir, ok := a.graph.resolve(p.Module, i); ok {
			for module := range changed {
				if a.graph.visible[p.Module][module] != "" && (i == module || strings.HasPrefix(i, module+"/")) && dir != p.Dir {
					return true
				}
			}
			continue
		}
		if a.graph.external(p.Module, i) && (changed == nil || a.closure(p.Module).reaches(i, changed)) {
			return true
		}
	}
	return false
}

// A closure knows which modules the external packages build with; nil packages if that is unknown.
type closure struct {
	packages map[string]*listed
	memo     map[string]map[string]bool
}

type listed struct {
	ImportPath string
	Imports    []string
	Module     *struct{ Path string }
}

// closure asks the go command about the dependencies of a module. It may not use the network: without downloaded modules,
// every external package counts as changed.
func (a *analysis) closure(module string) *closure {
	if c := a.closures[module]; c != nil {
		return c
	}
	c := &closure{memo: map[string]map[string]bool{}}
	a.closures[module] = c
	c.packages = list(a.ctx, filepath.Join(a.graph.root, filepath.FromSlash(module)))
	return c
}

func list(ctx context.Context, dir string) map[string]*listed {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-test", "-json=ImportPath,Imports,Module", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off")
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	packages := map[string]*listed{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			return nil
		}
		packages[p.ImportPath] = &p
	}
}

// reaches reports whether an external package is of, or builds with, any of some modules.
func (c *closure) reaches(importPath string, changed map[string]bool) bool {
	if c.packages == nil || c.packages[importPath] == nil {
		return true // not known, or only for another operating system
	}
	for module := range c.modules(importPath) {
		if changed[module] {
			return true
		}
	}
	return false
}

func (c *closure) modules(importPath string) map[string]bool {
	if m, known := c.memo[importPath]; known {
		return m
	}
	m := map[string]bool{}
	c.memo[importPath] = m
	p := c.packages[importPath]
	if p == nil {
		return m
	}
	if p.Module != nil {
		m[p.Module.Path] = true
	}
	for _, i := range p.Imports {
		for module := range c.modules(i) {
			m[module] = true
		}
	}
	return m
}
