// Package mtime sets the modification times of the files of a checkout to values that depend only on their content.
//
// Go's test cache takes a result from the cache if the files that the test has opened have the size and the modification
// time that they had (cmd/go/internal/test, hashOpen). A fresh clone gives all files the time of the clone, so in CI no
// test that reads a file is ever cached. With times made of content, the same file has the same time in every clone.
package mtime

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/git"
)

// The times lie between 2001-09-09 and 2017-07-14: long enough ago that Go does not take a file for one that is just being
// written, and that make-like tools take no source for newer than what they have built.
const (
	earliest = 1_000_000_000
	span     = 500_000_000
)

// A Result counts what was done.
type Result struct {
	// Files and Dirs have new times; Modified files differ from the index and were left alone.
	Files, Dirs, Modified int
}

// Checkout sets the times of the tracked files and directories around dir, and of the repository's .git. Files that are modified keep theirs.
func Checkout(ctx context.Context, dir string) (Result, error) {
	var r Result
	top, err := git.In(dir).Text(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return r, err
	}
	root := filepath.FromSlash(top)
	in := git.In(root)
	tracked, err := in.List(ctx, "ls-files", "--stage", "-z")
	if err != nil {
		return r, err
	}
	// The index has to know the present times, or git would take every file for modified.
	_, _ = in.Output(ctx, "update-index", "-q", "--refresh")
	dirty, err := in.List(ctx, "diff-files", "--name-only", "-z")
	if err != nil {
		return r, err
	}
	modified := map[string]bool{}
	for _, name := range dirty {
		modified[name] = true
	}
	children := map[string][]string{} // of each directory: name and hash
	for _, entry := range tracked {
		// 100644 <hash> 0<tab>path
		meta, name, ok := strings.Cut(entry, "\t")
		fields := strings.Fields(meta)
		if !ok || len(fields) != 3 {
			continue
		}
		mode, hash := fields[0], fields[1]
		children[path.Dir(name)] = append(children[path.Dir(name)], path.Base(name)+" "+mode+" "+hash)
		switch {
		case modified[name]:
			r.Modified++
		case strings.HasPrefix(mode, "100"): // neither a link nor a submodule
			if err := set(root, name, hash); err != nil {
				return r, err
			}
			r.Files++
		}
	}
	if r.Dirs, err = directories(root, children); err != nil {
		return r, err
	}
	// Spares the next git command from reading every file.
	_, _ = in.Output(ctx, "update-index", "-q", "--refresh")
	// Last, since git has just written there. Tests that look for the top of their repository stat it.
	then := time.Unix(earliest, 0)
	return r, os.Chtimes(filepath.Join(root, ".git"), then, then)
}

// directories sets the times of all directories with tracked files in them, the deepest first, because the time of one is
// part of its parent's.
func directories(root string, children map[string][]string) (int, error) {
	var dirs []string
	seen := map[string]bool{}
	for dir := range children {
		for ; !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			dirs = append(dirs, dir)
			if dir == "." {
				break
			}
		}
	}
	depth := func(dir string) int { return strings.Count(dir, "/") }
	sort.Slice(dirs, func(i, j int) bool {
		if dirs[i] == "." || dirs[j] == "." {
			return dirs[j] == "." && dirs[i] != "."
		}
		return depth(dirs[i]) > depth(dirs[j]) || depth(dirs[i]) == depth(dirs[j]) && dirs[i] < dirs[j]
	})
	for _, dir := range dirs {
		sort.Strings(children[dir])
		sum := sha256.Sum256([]byte(strings.Join(children[dir], "\n")))
		hash := hex.EncodeToString(sum[:])
		if err := set(root, dir, hash); err != nil {
			return 0, err
		}
		if dir != "." {
			children[path.Dir(dir)] = append(children[path.Dir(dir)], path.Base(dir)+" 040000 "+hash)
		}
	}
	return len(dirs), nil
}

// set sets the modification time of a file to the one of a hash.
func set(root, name, hash string) error {
	raw, err := hex.DecodeString(hash[:16])
	if err != nil {
		return fmt.Errorf("git's hash of %s is %q: %w", name, hash, err)
	}
	t := time.Unix(earliest+int64(binary.BigEndian.Uint64(raw)%span), 0)
	return os.Chtimes(filepath.Join(root, filepath.FromSlash(name)), t, t)
}
