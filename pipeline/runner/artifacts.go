package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/snapshot"
)

// wanted decides by `artifacts:when` or `cache:when` whether a job's files are kept.
func wanted(when string, success bool) bool {
	switch when {
	case "always":
		return true
	case "on_failure":
		return !success
	default:
		return success
	}
}

// keepArtifacts puts the files of `artifacts:paths` and `artifacts:untracked` into the job's folder of the run.
func (a *attempt) keepArtifacts(ctx context.Context, spec *pipeline.Artifacts) error {
	files, folders := a.find(a.env.expandAll(spec.Paths))
	if spec.Untracked {
		untracked, err := snapshot.Untracked(ctx, a.build.project, a.run.machine)
		if err != nil {
			return err
		}
		files = append(files, untracked...)
	}
	excluded := a.env.expandAll(spec.Exclude)
	isExcluded := func(file string) bool {
		return slices.ContainsFunc(excluded, func(pattern string) bool {
			relative, inside := a.inside(pattern)
			match, _ := doublestar.Match(relative, file)
			return inside && match
		})
	}
	files, folders = slices.DeleteFunc(files, isExcluded), slices.DeleteFunc(folders, isExcluded)
	slices.Sort(files)
	files = slices.Compact(files)
	if len(files)+len(folders) == 0 {
		if len(spec.Paths) > 0 || spec.Untracked {
			a.logf("Artifacts: there are no files to keep")
		}
		return nil
	}
	if err := a.collect(files, a.folder(artifactsFolder)); err != nil {
		return fmt.Errorf("artifacts: %w", err)
	}
	if err := a.collectFolders(folders, a.folder(artifactsFolder)); err != nil {
		return fmt.Errorf("artifacts: %w", err)
	}
	a.logf("Artifacts: kept %s", plural(len(files), "file"))
	return nil
}

// keepReports puts the files of `artifacts:reports` into the job's folder, by kind, and reads those of the kind dotenv.
// GitLab takes reports also from failed jobs.
func (a *attempt) keepReports(spec *pipeline.Artifacts) (kinds []string, dotenv []pipeline.Variable, err error) {
	for _, kind := range slices.Sorted(maps.Keys(spec.Reports)) {
		files := a.match(a.env.expandAll(spec.ReportPaths(kind)))
		if len(files) == 0 {
			continue
		}
		if err := a.collect(files, filepath.Join(a.folder(reportsFolder), kind)); err != nil {
			return nil, nil, fmt.Errorf("report %s: %w", kind, err)
		}
		kinds = append(kinds, kind)
		if kind == "dotenv" {
			if dotenv, err = a.readDotenv(files); err != nil {
				return nil, nil, err
			}
		}
	}
	return kinds, dotenv, nil
}

// readDotenv reads the files of a dotenv report.
func (a *attempt) readDotenv(files []string) ([]pipeline.Variable, error) {
	var variables []pipeline.Variable
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(a.build.project, file))
		if err != nil {
			return nil, err
		}
		parsed, err := parseDotenv(file, content)
		if err != nil {
			return nil, err
		}
		variables = append(variables, parsed...)
	}
	return variables, nil
}

// match lists the files below the checkout that the patterns name; see find.
func (a *attempt) match(patterns []string) []string {
	files, _ := a.find(patterns)
	return files
}

// find lists the files and folders below the checkout that the patterns name: files, folders with everything in them, and
// globs in which ** stands for any folders. Patterns that match nothing, or leave the checkout, are reported in the log.
func (a *attempt) find(patterns []string) (files, folders []string) {
	tree := os.DirFS(a.build.project)
	seen := map[string]bool{}
	add := func(to *[]string, path string) {
		if !seen[path] {
			seen[path] = true
			*to = append(*to, path)
		}
	}
	for _, pattern := range patterns {
		relative, inside := a.inside(pattern)
		if !inside {
			a.logf("WARNING: %s is outside of the project: only files below CI_PROJECT_DIR can be kept", pattern)
			continue
		}
		matches, err := doublestar.Glob(tree, relative, doublestar.WithNoFollow())
		if err != nil {
			a.logf("WARNING: %s: %v", pattern, err)
			continue
		}
		before := len(seen)
		for _, m := range matches {
			err := fs.WalkDir(tree, m, func(file string, e fs.DirEntry, err error) error {
				switch {
				case err != nil:
					return err
				case e.IsDir() && file == ".git":
					return fs.SkipDir
				case e.IsDir():
					add(&folders, file)
				default:
					add(&files, file)
				}
				return nil
			})
			if err != nil {
				a.logf("WARNING: %v", err)
			}
		}
		if len(seen) == before && len(matches) == 0 {
			a.logf("WARNING: %s: no matching files", pattern)
		}
	}
	return files, folders
}

// inside makes a pattern relative to the checkout.
func (a *attempt) inside(pattern string) (relative string, ok bool) {
	relative = path.Clean(filepath.ToSlash(pattern))
	if path.IsAbs(relative) {
		if relative == a.build.project {
			return ".", true
		}
		if relative, ok = strings.CutPrefix(relative, a.build.project+"/"); !ok {
			return "", false
		}
	}
	return relative, relative != ".." && !strings.HasPrefix(relative, "../")
}

// collect puts files of the checkout into a folder. Links are enough: the checkout is removed when the job has ended.
func (a *attempt) collect(files []string, folder string) error {
	for _, file := range files {
		from, to := filepath.Join(a.build.project, file), filepath.Join(folder, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return err
		}
		if err := os.Link(from, to); err == nil || errors.Is(err, fs.ErrExist) {
			continue
		}
		if err := filetree.Copy(from, to); err != nil {
			return err
		}
	}
	return nil
}

// collectFolders puts folders of the checkout into a folder, empty ones too, with their permissions.
func (a *attempt) collectFolders(folders []string, folder string) error {
	for _, name := range folders {
		info, err := os.Stat(filepath.Join(a.build.project, name))
		if err != nil {
			return err
		}
		to := filepath.Join(folder, name)
		if err := os.MkdirAll(to, 0o750); err != nil {
			return err
		}
		// The owner must be able to remove them.
		if err := os.Chmod(to, info.Mode().Perm()|0o700); err != nil {
			return err
		}
	}
	return nil
}

// fetchArtifacts puts the artifacts of earlier jobs into the checkout, in the pipeline's order.
func (a *attempt) fetchArtifacts() error {
	for _, source := range a.sources {
		from := filepath.Join(a.run.folder(source.Slug), artifactsFolder)
		if _, err := os.Stat(from); err != nil {
			continue
		}
		a.logf("Artifacts: from %s", source.Name)
		if err := filetree.Copy(from, a.build.project); err != nil {
			return fmt.Errorf("artifacts of %s: %w", source.Name, err)
		}
	}
	return nil
}
