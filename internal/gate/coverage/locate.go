package coverage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"gitlab.com/slipway-ci/slipway/internal/gate/modules"
	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

// Left holds the files that [Locate] left out, by path or name.
type Left struct{ Generated, Excluded, Foreign []string }

// Locate finds the profile's files in the repository and keeps those that count: neither generated, nor excluded by a
// pattern, nor of another module. A file that is missing from a module of the repository is an
// error, because a report about it would be dropped silently.
func Locate(root string, p *Profile, exclude []string) (*Profile, Left, error) {
	var left Left
	list, err := modules.Find(root)
	if err != nil {
		return nil, left, err
	}
	kept := &Profile{Mode: p.Mode}
	for _, f := range p.Files {
		f.Path, err = locate(root, list, f.Name)
		if errors.Is(err, modules.ErrForeign) {
			left.Foreign = append(left.Foreign, f.Name)
			continue
		}
		if err != nil {
			return nil, left, err
		}
		why, err := leaveOut(root, f.Path, exclude)
		switch {
		case err != nil:
			return nil, left, fmt.Errorf("the profile covers %s, which is not in the repository as %s: %w", f.Name, f.Path, err)
		case why == generated:
			left.Generated = append(left.Generated, f.Path)
		case why == excluded:
			left.Excluded = append(left.Excluded, f.Path)
		default:
			kept.Files = append(kept.Files, f)
		}
	}
	if len(kept.Files) == 0 {
		return nil, left, fmt.Errorf("the profile covers no file of this repository that counts (%d generated, %d excluded, %d of other modules)",
			len(left.Generated), len(left.Excluded), len(left.Foreign))
	}
	return kept, left, nil
}

func locate(root string, list []modules.Module, name string) (string, error) {
	if filepath.IsAbs(name) {
		relative, err := filepath.Rel(root, name)
		if err != nil || strings.HasPrefix(relative, "..") {
			return "", fmt.Errorf("%s is %w", name, modules.ErrForeign)
		}
		return filepath.ToSlash(relative), nil
	}
	return modules.Locate(list, name)
}

type reason int

const (
	counts reason = iota
	generated
	excluded
)

func leaveOut(root, file string, exclude []string) (reason, error) {
	if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(file))); err != nil {
		return counts, err
	}
	for _, pattern := range exclude {
		// A pattern without a slash is about names, as in .gitignore.
		if doublestar.MatchUnvalidated(pattern, file) || !strings.Contains(pattern, "/") && doublestar.MatchUnvalidated(pattern, path.Base(file)) {
			return excluded, nil
		}
	}
	is, err := isGenerated(filepath.Join(root, filepath.FromSlash(file)))
	if is {
		return generated, err
	}
	return counts, err
}

// generatedLine marks generated Go files: https://go.dev/s/generatedcode.
var generatedLine = lazyregexp.New(`^// Code generated .* DO NOT EDIT\.$`)

func isGenerated(file string) (bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if generatedLine().MatchString(strings.TrimRight(line, "\r\n")) {
			return true, nil
		}
		if strings.HasPrefix(line, "package ") || errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}
