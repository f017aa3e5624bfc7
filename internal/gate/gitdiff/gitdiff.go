// Package gitdiff determines what a branch has changed since it left another one: files, and lines in them. It works on clones
// as shallow as CI makes them, by fetching no more history than needed.
package gitdiff

import (
	"context"
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// A Set is what has changed between a commit and the working tree, including untracked files.
type Set struct {
	// Root is the repository's root directory; Base the SHA of the commit that the changes are against.
	Root, Base string
	// Files are sorted by path.
	Files []File
}

// A File is a changed file. Paths are relative to the repository's root, with slashes.
type File struct {
	Path string
	// Old is the path before a rename, and Path otherwise.
	Old string
	// Added and Deleted are about the file as a whole.
	Added, Deleted bool
	// Lines are the new or changed ones, as they are counted now; ascending and disjoint.
	Lines []Range
}

// A Range is a run of lines, from First to Last inclusive, counted from 1.
type Range struct{ First, Last int }

// Since returns what has changed since the working tree's branch left ref, a branch, tag or SHA; see [MergeBase].
func Since(ctx context.Context, dir, ref string) (*Set, error) {
	base, err := MergeBase(ctx, dir, ref)
	if err != nil {
		return nil, err
	}
	return From(ctx, dir, base)
}

// From returns what has changed since a commit, which has to exist in the clone.
func From(ctx context.Context, dir, base string) (*Set, error) {
	root, err := Root(ctx, dir)
	if err != nil {
		return nil, err
	}
	diff, err := output(ctx, root, "diff", "--unified=0", "--find-renames", "--no-color", "--no-ext-diff", "--no-textconv",
		"--submodule=short", "--src-prefix=a/", "--dst-prefix=b/", base, "--")
	if err != nil {
		return nil, err
	}
	files, err := parse(diff)
	if err != nil {
		return nil, err
	}
	untracked, err := output(ctx, root, "ls-files", "-z", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	for _, path := range strings.Split(untracked, "\x00") {
		if path != "" {
			files = append(files, File{Path: path, Old: path, Added: true, Lines: []Range{{1, 1 << 30}}})
		}
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Path < files[j].Path })
	return &Set{Root: root, Base: base, Files: files}, nil
}

// Root returns the root directory of the repository that dir is in.
func Root(ctx context.Context, dir string) (string, error) {
	out, err := output(ctx, dir, "rev-parse", "--show-toplevel")
	if err != nil {
		return "", err
	}
	return filepath.FromSlash(strings.TrimRight(out, "\n")), nil
}

// Show reads a file as it was at a commit; ok is false if it was not there.
func Show(ctx context.Context, root, commit, path string) (content string, ok bool) {
	content, err := output(ctx, root, "show", commit+":"+path)
	return content, err == nil
}

// File returns a changed file by its path.
func (s *Set) File(path string) (File, bool) {
	i := sort.Search(len(s.Files), func(i int) bool { return s.Files[i].Path >= path })
	if i < len(s.Files) && s.Files[i].Path == path {
		return s.Files[i], true
	}
	return File{}, false
}

// Touches reports whether any line from first to last of a file is new or changed.
func (s *Set) Touches(path string, first, last int) bool {
	f, ok := s.File(path)
	if !ok {
		return false
	}
	for _, r := range f.Lines {
		if first <= r.Last && last >= r.First {
			return true
		}
	}
	return false
}

// parse reads a unified diff without context.
func parse(diff string) ([]File, error) {
	var files []File
	// Lines of the old and of the new text that the present hunk still has; their content can look like anything.
	var removed, added int
	for _, line := range strings.Split(diff, "\n") {
		switch {
		case removed > 0 && strings.HasPrefix(line, "-"):
			removed--
		case added > 0 && strings.HasPrefix(line, "+"):
			added--
		case strings.HasPrefix(line, "diff --git "):
			old, path, err := header(strings.TrimPrefix(line, "diff --git "))
			if err != nil {
				return nil, err
			}
			files = append(files, File{Path: path, Old: old})
		case len(files) == 0:
		case strings.HasPrefix(line, "new file mode"):
			files[len(files)-1].Added = true
		case strings.HasPrefix(line, "deleted file mode"):
			files[len(files)-1].Deleted = true
		case strings.HasPrefix(line, "rename from "):
			files[len(files)-1].Old = unquote(strings.TrimPrefix(line, "rename from "))
		case strings.HasPrefix(line, "rename to "):
			files[len(files)-1].Path = unquote(strings.TrimPrefix(line, "rename to "))
		case strings.HasPrefix(line, "@@ "):
			var first int
			var err error
			if removed, first, added, err = hunk(line); err != nil {
				return nil, err
			}
			if added > 0 {
				f := &files[len(files)-1]
				f.Lines = append(f.Lines, Range{first, first + added - 1})
			}
		}
	}
	return files, nil
}

// header reads `a/path b/path`, where both paths are equal unless lines about a rename follow, or are quoted.
func header(text string) (old, path string, err error) {
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", "", fmt.Errorf("cannot read git's diff: header %s", text)
		}
		old = unquote(quoted)
		path = unquote(strings.TrimPrefix(text[len(quoted):], " "))
	} else if i := strings.Index(text, ` "`); i >= 0 {
		old, path = text[:i], unquote(text[i+1:])
	} else {
		// The path may have spaces; both halves have the same length.
		half := (len(text) - 1) / 2
		old, path = text[:half], text[half+1:]
	}
	return strings.TrimPrefix(old, "a/"), strings.TrimPrefix(path, "b/"), nil
}

// unquote reads git's C-like quotes, of which Go's are a superset.
func unquote(text string) string {
	if plain, err := strconv.Unquote(text); err == nil && strings.HasPrefix(text, `"`) {
		return plain
	}
	return text
}

// hunk reads `@@ -1,2 +3,4 @@`: how many lines go, where the new ones start, how many they are.
func hunk(line string) (removed, first, added int, err error) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return 0, 0, 0, fmt.Errorf("cannot read git's diff: %s", line)
	}
	_, removed, err1 := span(strings.TrimPrefix(fields[1], "-"))
	first, added, err2 := span(strings.TrimPrefix(fields[2], "+"))
	if err1 != nil || err2 != nil {
		return 0, 0, 0, fmt.Errorf("cannot read git's diff: %s", line)
	}
	return removed, first, added, nil
}

// span reads "3,4", or "3" for "3,1".
func span(text string) (first, count int, err error) {
	a, b, long := strings.Cut(text, ",")
	if first, err = strconv.Atoi(a); err != nil {
		return 0, 0, err
	}
	if !long {
		return first, 1, nil
	}
	count, err = strconv.Atoi(b)
	return first, count, err
}
