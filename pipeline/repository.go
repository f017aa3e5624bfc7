package pipeline

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/memo"
)

// A repository is the tree of a project at one commit.
type repository struct {
	files fs.FS
	path  string
	sha   string
	// label stands before the paths of another project's files: "group/project@v1:".
	label string

	// contents are the files that were read, for the next event.
	contents memo.Memo[string, readResult]

	list func() ([]string, error)
	once sync.Once
}

type readResult struct {
	content []byte
	err     error
}

// read returns a file; fs.ErrNotExist also for what cannot be a path in a repository.
func (r *repository) read(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrNotExist
	}
	result := r.contents.Get(name, func() (result readResult) {
		result.content, result.err = fs.ReadFile(r.files, name)
		return result
	})
	return result.content, result.err
}

// has reports whether there is a file of exactly this path.
func (r *repository) has(name string) bool {
	if !fs.ValidPath(name) {
		return false
	}
	info, err := fs.Stat(r.files, name)
	return err == nil && !info.IsDir()
}

// hasFolder reports whether there is a folder of exactly this path.
func (r *repository) hasFolder(name string) bool {
	if !fs.ValidPath(name) {
		return false
	}
	info, err := fs.Stat(r.files, name)
	return err == nil && info.IsDir()
}

// A FileLister is a file system that knows all its files without a walk, like the tree of a commit.
type FileLister interface {
	// Files lists the paths of all files, sorted.
	Files() ([]string, error)
}

// paths lists all files, sorted; the folder .git is none of the repository's.
func (r *repository) paths() ([]string, error) {
	r.once.Do(func() {
		r.list = sync.OnceValues(func() ([]string, error) {
			if l, ok := r.files.(FileLister); ok {
				return l.Files()
			}
			return walk(r.files)
		})
	})
	return r.list()
}

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
