// Package repository reads the files of projects.
package repository

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/memo"
)

// A Repository is the tree of a project at one commit. It is safe for concurrent use, and reads each file once.
type Repository struct {
	// SHA is the commit; empty for that of the pipeline.
	SHA string
	// Label stands before the paths of another project's files: "group/project@v1:".
	Label string
	files fs.FS

	// contents are the files that were read, for the next event.
	contents memo.Memo[string, readResult]

	list func() ([]string, error)
}

// New returns the repository with the files of a commit. The files of another project have a label.
func New(files fs.FS, sha, label string) *Repository {
	return &Repository{SHA: sha, Label: label, files: files, list: sync.OnceValues(func() ([]string, error) {
		if l, ok := files.(lister); ok {
			return l.Files()
		}
		return walk(files)
	})}
}

type readResult struct {
	content []byte
	err     error
}

// Read returns a file; fs.ErrNotExist also for what cannot be a path in a repository.
func (r *Repository) Read(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrNotExist
	}
	result := r.contents.Get(name, func() (result readResult) {
		result.content, result.err = fs.ReadFile(r.files, name)
		return result
	})
	return result.content, result.err
}

// Has reports whether there is a file of exactly this path.
func (r *Repository) Has(name string) bool {
	if !fs.ValidPath(name) {
		return false
	}
	info, err := fs.Stat(r.files, name)
	return err == nil && !info.IsDir()
}

// HasFolder reports whether there is a folder of exactly this path.
func (r *Repository) HasFolder(name string) bool {
	if !fs.ValidPath(name) {
		return false
	}
	info, err := fs.Stat(r.files, name)
	return err == nil && info.IsDir()
}

// Paths lists all files, sorted; the folder .git is none of the repository's.
func (r *Repository) Paths() ([]string, error) { return r.list() }

// A lister is pipeline.FileLister.
type lister interface{ Files() ([]string, error) }

func walk(files fs.FS) ([]string, error) {
	var paths []string
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case !entry.IsDir():
			paths = append(paths, name)
		}
		return nil
	})
	slices.SortFunc(paths, strings.Compare)
	return paths, err
}
