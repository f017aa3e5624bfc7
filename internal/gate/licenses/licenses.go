// Package licenses determines the licences of the modules that a program is built from. It asks the go command which
// modules are built in, and reads their licence files from the module cache; it needs no network when these are there.
package licenses

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/licensecheck"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

// A Module is a dependency that is built in.
type Module struct {
	Path, Version string
	// Licenses are the SPDX names of all licences in its licence files, sorted; empty if none is recognized.
	Licenses []string
	// Files are the licence files that were read, relative to the module's root.
	Files []string
	// Package is one of its packages that is built in, as a hint where the dependency comes from.
	Package string
}

// Allowed reports whether the module has licences, and all of them are in the list.
func (m *Module) Allowed(list []string) bool {
	return len(m.Licenses) > 0 && !slices.ContainsFunc(m.Licenses, func(l string) bool { return !slices.Contains(list, l) })
}

// Excepted reports whether a module's path is in the list, or below one that ends with "/...".
func Excepted(path string, list []string) bool {
	return slices.ContainsFunc(list, func(item string) bool {
		prefix, below := strings.CutSuffix(item, "/...")
		return path == item || below && (path == prefix || strings.HasPrefix(path, prefix+"/"))
	})
}

// covered is how much of a licence file, in percent, must be text of known licences. Below, a term may have been added.
const covered = 75

// licenseFile is what projects call the file, ownFile the one that is about the module itself; others are about parts of it.
var (
	licenseFile = lazyregexp.New(`(?i)^(un|mit-)?(licen[cs]e|copying)([-._].*)?$`)
	ownFile     = lazyregexp.New(`(?i)^(un|mit-)?(licen[cs]e|copying)(\.(txt|md|rst))?$`)
)

// Of lists the modules that packages (as the go command takes them, in dir) are built from, without the main modules and
// the standard library. Test dependencies are not built in.
func Of(ctx context.Context, dir string, packages []string) ([]Module, error) {
	command := exec.CommandContext(ctx, "go", append([]string{"list", "-deps", "-json=ImportPath,Dir,Module,Standard", "--"}, packages...)...)
	command.Dir = dir
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -deps: %w\n%s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	type module struct {
		Path, Version, Dir string
		Main               bool
		Replace            *module
	}
	var modules []Module
	seen := map[string]bool{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir string
			Standard        bool
			Module          *module
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list -deps: %w", err)
		}
		if p.Standard || p.Module == nil || p.Module.Main || seen[p.Module.Path] {
			continue
		}
		seen[p.Module.Path] = true
		// A replacement by a folder of this repository is the project's own code.
		if r := p.Module.Replace; r != nil && r.Version == "" {
			continue
		}
		m := Module{Path: p.Module.Path, Version: p.Module.Version, Package: p.ImportPath}
		folder := p.Module.Dir
		if folder == "" {
			// With -mod=vendor the go command names the folder of the package only, which is below vendor/ and the module's path.
			folder = strings.TrimSuffix(p.Dir, strings.TrimPrefix(p.ImportPath, p.Module.Path))
		}
		if m.Licenses, m.Files, err = read(folder); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		modules = append(modules, m)
	}
	slices.SortFunc(modules, func(a, b Module) int { return strings.Compare(a.Path, b.Path) })
	return modules, nil
}

// read finds the licences in the files of a folder.
func read(dir string) (licences, files []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if e.IsDir() || !licenseFile().MatchString(e.Name()) || filepath.Ext(e.Name()) == ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, nil, err
		}
		files = append(files, e.Name())
		found := licensecheck.Scan(text)
		if found.Percent < covered {
			// What is written about parts of the module is often prose; the module's own licence has to be one.
			if ownFile().MatchString(e.Name()) {
				licences = append(licences, "unknown")
			}
			continue
		}
		for _, m := range found.Match {
			if !m.IsURL {
				licences = append(licences, m.ID)
			}
		}
	}
	slices.Sort(licences)
	return slices.Compact(licences), files, nil
}
