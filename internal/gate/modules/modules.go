// Package modules finds the Go modules of a repository.
package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/mod/modfile"
)

// A Module is a go.mod in a repository.
type Module struct {
	// Dir is its directory, relative to the repository's root, with slashes; "." for the root itself.
	Dir string
	// Path is its module path.
	Path string
	File *modfile.File
}

// Skip reports whether Go's "./..." leaves a directory of this name out, or CI keeps caches there.
func Skip(name string) bool {
	return strings.HasPrefix(name, ".") && name != "." || strings.HasPrefix(name, "_") ||
		name == "testdata" || name == "vendor" || name == "node_modules"
}

// Find lists the modules below a root, sorted by directory. Directories that "./..." leaves out are left out, too.
func Find(root string) ([]Module, error) {
	var list []Module
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && Skip(d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if d.Name() != "go.mod" {
			return nil
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		m, err := Parse(root, path.Dir(filepath.ToSlash(relative)))
		if err != nil {
			return err
		}
		list = append(list, m)
		return nil
	})
	sort.Slice(list, func(i, j int) bool { return list[i].Dir < list[j].Dir })
	return list, err
}

// Parse reads the go.mod of a directory below a root.
func Parse(root, dir string) (Module, error) {
	name := filepath.Join(root, filepath.FromSlash(dir), "go.mod")
	data, err := os.ReadFile(name)
	if err != nil {
		return Module{}, err
	}
	file, err := ParseFile(name, data)
	if err != nil {
		return Module{}, err
	}
	if file.Module == nil {
		return Module{}, fmt.Errorf("%s names no module", name)
	}
	return Module{Dir: dir, Path: file.Module.Mod.Path, File: file}, nil
}

// ParseFile reads a go.mod. One with directives of a newer Go is read as far as it is understood, and then without replace
// and exclude, because that is how modfile reads the go.mod of strangers.
func ParseFile(name string, data []byte) (*modfile.File, error) {
	if file, err := modfile.Parse(name, data, nil); err == nil {
		return file, nil
	}
	return modfile.ParseLax(name, data, nil)
}

// ErrForeign is the error of [Locate] for what no module of the repository has.
var ErrForeign = errors.New("in no module of this repository")

// Locate returns the path below the root of an import path, or of a file named by one. The module with the longest path wins.
func Locate(list []Module, name string) (string, error) {
	best := -1
	for i, m := range list {
		if (name == m.Path || strings.HasPrefix(name, m.Path+"/")) && (best < 0 || len(m.Path) > len(list[best].Path)) {
			best = i
		}
	}
	if best < 0 {
		return "", fmt.Errorf("%s is %w", name, ErrForeign)
	}
	return path.Join(list[best].Dir, strings.TrimPrefix(name, list[best].Path)), nil
}
