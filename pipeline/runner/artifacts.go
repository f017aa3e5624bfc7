package runner

import (
	"context"
	"encoding/json"
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

// foldersFile lists the folders among a job's artifacts with their modes, beside the folder of the artifacts. It does not list folders that
// are only there because of a file in them: these do not change the modes of the checkout that they are copied to.
const foldersFile = "folders.json"

// wanted reports whether a job's files are kept, by `artifacts:when` or `cache:when`.
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

// keepArtifacts moves the files of `artifacts:paths` and `artifacts:untracked` to the job's folder of the run.
func (a *attempt) keepArtifacts(ctx context.Context, spec *pipeline.Artifacts) error {
	excluded := a.excluded(a.env.expandAll(spec.Exclude))
	entries := a.find(a.env.expandAll(spec.Paths), excluded)
	if spec.Untracked {
		untracked, err := snapshot.Untracked(ctx, a.build.project, a.run.machine)
		if err != nil {
			return err
		}
		if untracked = slices.DeleteFunc(untracked, excluded); len(untracked) == 0 {
			a.logf("WARNING: Artifacts: there are no untracked files")
		}
		entries = append(entries, untracked...)
	}
	slices.Sort(entries)
	entries = slices.Compact(entries)
	a.warnOfGit(entries, "kept")
	if len(entries) == 0 {
		if len(spec.Paths) > 0 || spec.Untracked {
			a.logf("WARNING: Artifacts: there are no files to keep")
		}
		return nil
	}
	kept, err := a.collect(entries, a.folder(artifactsFolder))
	if err != nil {
		return fmt.Errorf("artifacts: %w", err)
	}
	a.logf("Artifacts: kept %s", plural(kept, "file"))
	return nil
}

// excluded returns a function that reports whether a path below the checkout matches one of the patterns of `artifacts:exclude`.
func (a *attempt) excluded(patterns []string) func(entry string) bool {
	var inside []string
	for _, pattern := range patterns {
		if relative, ok := a.inside(pattern); ok {
			inside = append(inside, relative)
		}
	}
	return func(entry string) bool {
		return slices.ContainsFunc(inside, func(pattern string) bool {
			match, _ := doublestar.Match(pattern, entry)
			return match
		})
	}
}

// warnOfGit warns, as GitLab's runner does, that git's own files are among the artifacts.
func (a *attempt) warnOfGit(entries []string, verb string) {
	if slices.ContainsFunc(entries, func(entry string) bool { return entry == ".git" || strings.HasPrefix(entry, ".git/") }) {
		a.logf("WARNING: files of the folder .git are %s: this can break the checkout that they come into", verb)
	}
}

// keepReports moves the files of `artifacts:reports` to the job's folder, by kind, and reads those of the kind dotenv.
// As on GitLab, failed jobs have reports as well.
func (a *attempt) keepReports(spec *pipeline.Artifacts) (kinds []string, dotenv []pipeline.Variable, err error) {
	for _, kind := range slices.Sorted(maps.Keys(spec.Reports)) {
		files := a.find(a.env.expandAll(spec.ReportPaths(kind)), nil)
		if len(files) == 0 {
			continue
		}
		if i := slices.IndexFunc(files, a.isNoFile); i >= 0 {
			return kinds, nil, fmt.Errorf("report %s: %s is not a regular file", kind, files[i])
		}
		if kind == "dotenv" {
			if dotenv, err = a.readDotenv(files); err != nil {
				return kinds, nil, fmt.Errorf("the report dotenv is refused: %w", err)
			}
		}
		if _, err := a.collect(files, filepath.Join(a.folder(reportsFolder), kind)); err != nil {
			return kinds, dotenv, fmt.Errorf("report %s: %w", kind, err)
		}
		kinds = append(kinds, kind)
	}
	return kinds, dotenv, nil
}

// isNoFile reports whether an entry is a folder or a link, which GitLab's runner does not upload as a report.
func (a *attempt) isNoFile(entry string) bool {
	info, err := os.Lstat(filepath.Join(a.build.project, entry))
	return err == nil && !info.Mode().IsRegular()
}

// readDotenv reads the files of a dotenv report.
func (a *attempt) readDotenv(files []string) ([]pipeline.Variable, error) {
	root, err := os.OpenRoot(a.build.project)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var variables []pipeline.Variable
	for _, file := range files {
		content, err := root.ReadFile(file)
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

// find returns the paths below the checkout that match the patterns: files, links, and folders with everything in them. In a pattern ** matches
// any number of folders. Links are only followed in the fixed part of a pattern. Patterns that match nothing but what is excluded, or that
// are outside of the checkout, are reported in the log.
func (a *attempt) find(patterns []string, excluded func(entry string) bool) []string {
	var entries []string
	for _, pattern := range patterns {
		matches, found := a.match(pattern), false
		for _, match := range matches {
			err := filepath.WalkDir(filepath.Join(a.build.project, match), func(file string, e fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				relative, err := filepath.Rel(a.build.project, file)
				if err != nil {
					return err
				}
				if excluded != nil && excluded(relative) {
					return nil
				}
				found = true
				if kind := e.Type(); e.IsDir() || kind.IsRegular() || kind&fs.ModeSymlink != 0 {
					entries = append(entries, relative)
				}
				return nil
			})
			if err != nil {
				a.logf("WARNING: %v", err)
			}
		}
		if len(matches) > 0 && !found {
			a.logf("WARNING: %s: all matching files are excluded", pattern)
		}
	}
	slices.Sort(entries)
	return slices.Compact(entries)
}

// match returns the paths that match a pattern; see find.
func (a *attempt) match(pattern string) []string {
	if pattern == "" {
		a.logf("WARNING: a path is empty, perhaps because a variable is not set: nothing is kept for it")
		return nil
	}
	relative, inside := a.inside(pattern)
	if !inside {
		a.logf("WARNING: %s is outside of the project: only files below CI_PROJECT_DIR can be kept", pattern)
		return nil
	}
	matches, err := doublestar.Glob(os.DirFS(a.build.project), relative, doublestar.WithNoFollow())
	if err != nil {
		a.logf("WARNING: %s: %v", pattern, err)
		return nil
	}
	matches = slices.DeleteFunc(matches, func(match string) bool {
		if a.reachable(match) {
			return false
		}
		a.logf("WARNING: %s is reached through a link that leads out of the project: it is not kept", match)
		return true
	})
	if !hasMeta(relative) {
		// A link that is named without a glob must have a target.
		matches = slices.DeleteFunc(matches, func(match string) bool {
			_, err := os.Stat(filepath.Join(a.build.project, match))
			return err != nil
		})
	}
	if len(matches) == 0 {
		a.logf("WARNING: %s: no matching files", pattern)
	}
	return matches
}

// hasMeta reports whether a pattern has special characters.
func hasMeta(pattern string) bool { return strings.ContainsAny(pattern, `*?[{\`) }

// reachable reports whether the folder of a path is in the checkout after its links are followed. A job in a container can create links
// to files of this machine that it cannot read itself.
func (a *attempt) reachable(relative string) bool {
	root, err := filepath.EvalSymlinks(a.build.project)
	if err != nil {
		return false
	}
	folder, err := filepath.EvalSymlinks(filepath.Join(a.build.project, path.Dir(relative)))
	return err == nil && (folder == root || strings.HasPrefix(folder, root+string(filepath.Separator)))
}

// inside returns a pattern relative to the checkout.
func (a *attempt) inside(pattern string) (relative string, ok bool) {
	absolute := path.Clean(filepath.ToSlash(pattern))
	if !path.IsAbs(absolute) {
		absolute = path.Join(a.build.project, absolute)
	}
	if absolute == a.build.project {
		return ".", true
	}
	return strings.CutPrefix(absolute, a.build.project+"/")
}

// collect copies entries of the checkout to a folder as hard links, since the checkout is removed after the job, and lists the folders among
// them beside it. It returns the number of files.
func (a *attempt) collect(entries []string, folder string) (files int, err error) {
	modes := map[string]fs.FileMode{}
	for _, entry := range entries {
		from, to := filepath.Join(a.build.project, entry), filepath.Join(folder, entry)
		info, err := os.Lstat(from)
		if err != nil {
			return files, err
		}
		if throughLink(folder, path.Dir(entry)) {
			a.logf("WARNING: %s is not kept: its folder is kept as a link", entry)
			continue
		}
		if info.IsDir() {
			modes[entry] = info.Mode().Perm()
			if err := os.MkdirAll(to, 0o700); err != nil {
				return files, err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return files, err
		}
		files++
		if err := os.Link(from, to); err == nil || errors.Is(err, fs.ErrExist) {
			continue
		}
		if err := filetree.Copy(from, to); err != nil {
			return files, err
		}
	}
	if len(modes) == 0 {
		return files, nil
	}
	return files, writeJSON(filepath.Join(filepath.Dir(folder), foldersFile), modes)
}

// throughLink reports whether a path below root goes through a symbolic link.
func throughLink(root, relative string) bool {
	for ; relative != "." && relative != "/"; relative = path.Dir(relative) {
		if info, err := os.Lstat(filepath.Join(root, relative)); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}

// fetchArtifacts copies the artifacts of earlier jobs to the checkout, in the pipeline's order.
func (a *attempt) fetchArtifacts() error {
	for _, source := range a.sources {
		folder := a.run.folder(source.Slug)
		if _, err := os.Stat(filepath.Join(folder, artifactsFolder)); err != nil {
			continue
		}
		a.logf("Artifacts: from %s", source.Name)
		if err := placeArtifacts(folder, a.build.project); err != nil {
			err = fmt.Errorf("artifacts of %s: %w", source.Name, err)
			if isMachineError(err) {
				return err
			}
			return &jobError{1, err}
		}
	}
	return nil
}

// placeArtifacts copies the artifacts in a job's folder into a checkout.
func placeArtifacts(job, checkout string) error {
	modes, err := readFolderModes(job)
	if err != nil {
		return err
	}
	root := filepath.Join(job, artifactsFolder)
	err = filepath.WalkDir(root, func(from string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, from)
		if err != nil {
			return err
		}
		to := filepath.Join(checkout, relative)
		if !e.IsDir() {
			return filetree.Copy(from, to)
		}
		if info, err := os.Stat(to); err == nil && info.IsDir() {
			return nil
		}
		return os.Mkdir(to, 0o777) //nolint:gosec
	})
	if err != nil {
		return err
	}
	// The innermost first: a folder may become read-only.
	for _, folder := range slices.Backward(slices.Sorted(maps.Keys(modes))) {
		if err := os.Chmod(filepath.Join(checkout, folder), modes[folder]); err != nil {
			return err
		}
	}
	return nil
}

// readFolderModes reads the modes of the folders among a job's artifacts.
func readFolderModes(job string) (map[string]fs.FileMode, error) {
	content, err := os.ReadFile(filepath.Join(job, foldersFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	modes := map[string]fs.FileMode{}
	return modes, json.Unmarshal(content, &modes)
}
