package lint

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func checkNeedsAndDependencies(p *pass) {
	for _, job := range p.distinct {
		if job.Needs != nil && len(job.Dependencies) > 0 {
			at, path := p.ownPlace(job, "dependencies")
			p.report(Finding{
				Position: at, Path: path,
				Message: "`needs` already decides which artifacts are fetched",
				Hint:    "remove `dependencies`; add `artifacts: false` to the needs whose artifacts are not wanted",
			})
		}
	}
}

// eachImage visits the images of the jobs and of their services, with their keywords.
func (p *pass) eachImage(visit func(job *pipeline.Job, keyword, image string)) {
	for _, job := range p.distinct {
		if job.Image != nil && job.Image.Name != "" {
			visit(job, "image", job.Image.Name)
		}
		for _, service := range job.Services {
			visit(job, "services", service.Name)
		}
	}
}

func checkImageNotPinned(p *pass) {
	p.eachImage(func(job *pipeline.Job, keyword, image string) {
		if !unpinned(image) {
			return
		}
		at, path := p.ownPlace(job, keyword)
		p.report(Finding{
			Position: at, Path: path,
			Message: fmt.Sprintf("image %q is not pinned", image),
			Hint:    "name a version, or better a digest: image:1.2.3@sha256:...",
		})
	})
}

// unpinned reports whether an image has no tag, or `latest`. What a variable decides is not known here.
func unpinned(image string) bool {
	if image == "" || strings.Contains(image, "@") {
		return false
	}
	last := image[strings.LastIndex(image, "/")+1:]
	_, tag, tagged := strings.Cut(last, ":")
	return !tagged && !strings.Contains(last, "$") || tag == "latest"
}

func checkArchivedTool(p *pass) {
	p.eachImage(func(job *pipeline.Job, keyword, image string) {
		if strings.Contains(image, "kaniko-project/executor") {
			at, path := p.ownPlace(job, keyword)
			p.report(Finding{
				Position: at, Path: path,
				Message: "kaniko is archived and gets no fixes",
				Hint:    "build with rootless BuildKit, buildah, or ko",
			})
		}
	})
}

// checkArtifactsLostOnFailure looks at jobs with a test report: their other artifacts explain failures. Other reports and their
// files say nothing once the job has failed.
func checkArtifactsLostOnFailure(p *pass) {
	for _, job := range p.distinct {
		a := job.Artifacts
		if a == nil || len(a.ReportPaths("junit")) == 0 || len(a.Paths) == 0 || a.When == "always" || a.When == "on_failure" {
			continue
		}
		if !slices.ContainsFunc(a.Paths, func(path string) bool { return !slices.Contains(a.ReportPaths("junit"), path) }) {
			continue // the report itself, to be browsed
		}
		at, path := p.ownPlace(job, "artifacts", "paths")
		p.report(Finding{
			Position: at, Path: path,
			Message: "if the job fails, its test report is uploaded, but these paths are not",
			Hint:    "add `when: always` to artifacts",
		})
	}
}

func checkCacheOutsideProject(p *pass) {
	for _, job := range p.distinct {
		for _, cache := range job.Cache {
			for _, cached := range cache.Paths {
				if outside(cached) {
					at, path := p.ownPlace(job, "cache", "paths")
					p.report(Finding{
						Position: at, Path: path,
						Message: fmt.Sprintf("%s is outside of the project's folder, so it is not cached", cached),
						Hint:    "let the tool use a folder below $CI_PROJECT_DIR, and cache that",
					})
				}
			}
		}
	}
}

func checkCacheKeyConstant(p *pass) {
	for _, job := range p.distinct {
		for _, cache := range job.Cache {
			for keyword, files := range map[string][]string{"files": cache.KeyFiles, "files_commits": cache.KeyFilesCommits} {
				for _, file := range files {
					if isPathOfGit(file) {
						continue
					}
					at, path := p.ownPlace(job, "cache", "key", keyword)
					p.report(Finding{
						Position: at, Path: path,
						Message: fmt.Sprintf("git has no file %s, so the key of the cache does not depend on it", file),
						Hint:    "write the path relative to the project's root, as git does: dir/go.sum",
					})
				}
			}
		}
	}
}

// outside reports whether a path certainly leaves the project's folder.
func outside(path string) bool {
	for _, prefix := range []string{"$CI_PROJECT_DIR", "${CI_PROJECT_DIR}"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			return strings.HasPrefix(rest, "/../")
		}
	}
	for _, prefix := range []string{"/", "~", "../", "$HOME", "${HOME}", "$GOPATH", "${GOPATH}"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return path == ".."
}

func checkCacheUnprotected(p *pass) {
	for _, job := range p.distinct {
		if slices.ContainsFunc(job.Cache, func(c pipeline.Cache) bool { return c.Unprotect }) {
			at, path := p.ownPlace(job, "cache", "unprotect")
			p.report(Finding{
				Position: at, Path: path,
				Message: "protected branches restore a cache that every branch can write",
				Hint:    "remove `unprotect`; fallback_keys let other branches start with a filled cache",
			})
		}
	}
}

func checkGoCacheOutsideProject(p *pass) {
	for _, job := range p.distinct {
		if len(job.Cache) == 0 {
			continue
		}
		for _, v := range job.Variables {
			switch v.Key {
			case "GOCACHE", "GOMODCACHE", "GOLANGCI_LINT_CACHE":
			default:
				continue
			}
			if outside(v.Value) {
				at, path := p.ownPlace(job, "variables", v.Key)
				p.report(Finding{
					Position: at, Path: path,
					Message: fmt.Sprintf("%s is %s, which the runner cannot cache", v.Key, v.Value),
					Hint:    fmt.Sprintf("set %s to a folder like $CI_PROJECT_DIR/.cache, and cache that", v.Key),
				})
			}
		}
	}
}

func checkCoveragePattern(p *pass) {
	for _, job := range p.distinct {
		if job.Coverage == "" || findsNumber(job.Coverage) {
			continue
		}
		at, path := p.ownPlace(job, "coverage")
		p.report(Finding{
			Position: at, Path: path,
			Message: fmt.Sprintf("/%s/ cannot match a number", job.Coverage),
			Hint:    `include the number in the pattern; for Go: /total:\s+\(statements\)\s+\d+.\d+%/`,
		})
	}
}

// findsNumber reports whether what GitLab takes from a match can hold a digit: the first group if there is one, else the whole
// match. A pattern that cannot be parsed is an error of the configuration, not of this rule.
func findsNumber(pattern string) bool {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return true
	}
	if group := firstGroup(tree); group != nil {
		tree = group
	}
	return matchesDigit(tree)
}

func firstGroup(tree *syntax.Regexp) *syntax.Regexp {
	if tree.Op == syntax.OpCapture {
		return tree
	}
	for _, sub := range tree.Sub {
		if group := firstGroup(sub); group != nil {
			return group
		}
	}
	return nil
}

func matchesDigit(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpLiteral:
		return slices.ContainsFunc(tree.Rune, isDigit)
	case syntax.OpCharClass:
		for i := 0; i+1 < len(tree.Rune); i += 2 {
			if tree.Rune[i] <= '9' && tree.Rune[i+1] >= '0' {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(tree.Sub, matchesDigit)
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }
