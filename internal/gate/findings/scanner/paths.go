package scanner

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Paths turn the paths of a report into paths of the repository: relative to its root, with slashes. GitLab drops a
// finding silently whose path it does not know, so a path that does not exist is an error here.
type Paths struct {
	// Root is the repository's root on this machine. If it is empty, no path is looked up.
	Root string
	// ScanRoot is the path of the repository's root where the scanner ran; Root if empty.
	ScanRoot string
	// Prefix is put before relative paths: the module's directory if the scanner ran there.
	Prefix string
}

// Resolve returns the path in the repository. An empty path stays one.
func (p Paths) Resolve(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	inside := filepath.ToSlash(file)
	if path.IsAbs(inside) {
		relative, ok := p.under(inside)
		if !ok {
			return "", fmt.Errorf("%s is not below the repository's root %s; say with --scan-root what the root was called where the scanner ran",
				file, p.scanRoot())
		}
		inside = relative
	} else {
		inside = path.Join(p.Prefix, inside)
	}
	inside = path.Clean(inside)
	if inside == ".." || strings.HasPrefix(inside, "../") {
		return "", fmt.Errorf("%s leads out of the repository", file)
	}
	if p.Root != "" {
		if _, err := os.Lstat(filepath.Join(p.Root, filepath.FromSlash(inside))); err != nil {
			return "", fmt.Errorf("%s is not in the repository (looked for %s); if the scanner ran in a subdirectory, name it with --prefix",
				file, inside)
		}
	}
	return inside, nil
}

// anyTime are the same paths without the look-up, for files that a commit has had and the next may not have.
func (p Paths) anyTime() Paths {
	return Paths{ScanRoot: p.scanRoot(), Prefix: p.Prefix}
}

func (p Paths) scanRoot() string {
	if p.ScanRoot != "" {
		return p.ScanRoot
	}
	return p.Root
}

// under removes the root from an absolute path, also if symbolic links lead to it.
func (p Paths) under(file string) (string, bool) {
	roots := []string{p.scanRoot()}
	if target, err := filepath.EvalSymlinks(p.Root); p.ScanRoot == "" && err == nil {
		roots = append(roots, target)
	}
	for _, root := range roots {
		root = strings.TrimSuffix(filepath.ToSlash(root), "/") + "/"
		if relative, ok := strings.CutPrefix(file, root); ok {
			return relative, true
		}
	}
	return "", false
}
