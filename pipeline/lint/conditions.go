package lint

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
)

// checkManualWithoutAllowFailure looks at rules as they are written, since no event may meet them. Those that block merge request
// pipelines are reported by blocking-manual-in-merge-request.
func checkManualWithoutAllowFailure(p *pass) {
	_, blocking := p.blockingRules()
	for _, job := range p.jobs() {
		if value(job.node, "allow_failure") != nil || slices.ContainsFunc(p.compiled(job), func(j *pipeline.Job) bool {
			return isWritten(j.Position("allow_failure"))
		}) {
			continue
		}
		for _, rule := range ruleList(value(job.node, "rules")) {
			key, when := entry(rule, "when")
			if when == nil || when.Value != "manual" || value(rule, "allow_failure") != nil || blocking[job.source.at(rule)] != nil {
				continue
			}
			p.report(Finding{
				Position: job.source.at(key), Path: "jobs:" + job.name + ":rules:when",
				Message: "a manual job from `rules` blocks the pipeline unless allow_failure is set",
				Hint:    "write `allow_failure: false` if it shall block, `allow_failure: true` if not",
			})
		}
	}
}

// dotenvLine is a command that writes NAME=value.
var dotenvLine = lazyregexp.New(`(?:^|[\s"'\\n])([A-Za-z_][A-Za-z0-9_]*)=`)

func checkDotenvInRules(p *pass) {
	// The variables of dotenv reports are those that a script with such a report writes into its file.
	writers := map[string]string{}
	defined := map[string]bool{}
	for _, job := range p.distinct {
		for _, v := range job.Variables {
			defined[v.Key] = true
		}
		files := job.Artifacts.ReportPaths("dotenv")
		for _, command := range slices.Concat(job.BeforeScript, job.Script) {
			for line := range strings.SplitSeq(command, "\n") {
				before, after, redirects := strings.Cut(line, ">")
				if !redirects || !slices.ContainsFunc(files, func(f string) bool { return strings.Contains(after, f) }) {
					continue
				}
				for _, m := range dotenvLine().FindAllStringSubmatch(before, -1) {
					writers[m[1]] = job.BaseName
				}
			}
		}
	}
	for _, s := range p.sources {
		s.conditions(func(path string, node *yaml.Node) {
			for _, m := range variableUse().FindAllStringSubmatch(node.Value, -1) {
				job, fromDotenv := writers[m[1]]
				if !fromDotenv || defined[m[1]] {
					continue
				}
				p.report(Finding{
					Position: s.at(node), Path: path,
					Message: fmt.Sprintf("$%s is empty here: it comes from the dotenv report of job %s, which runs after rules are evaluated", m[1], job),
					Hint:    "test it in the script, or start a child pipeline with it",
				})
			}
		})
	}
}

var variableUse = lazyregexp.New(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

func checkChangesNeverMatch(p *pass) {
	for _, job := range p.jobs() {
		for _, rule := range ruleList(value(job.node, "rules")) {
			for _, keyword := range []string{"changes", "exists"} {
				node := value(rule, keyword)
				if paths := value(node, "paths"); paths != nil {
					node = paths
				}
				for _, pattern := range items(node) {
					wrong := pattern.Kind == yaml.ScalarNode && (strings.HasPrefix(pattern.Value, "./") ||
						strings.HasPrefix(pattern.Value, "../") || strings.Contains(pattern.Value, "//") ||
						keyword == "changes" && strings.HasPrefix(pattern.Value, "/"))
					if wrong {
						p.report(Finding{
							Position: job.source.at(pattern), Path: "jobs:" + job.name + ":rules:" + keyword,
							Message: fmt.Sprintf("%q matches nothing", pattern.Value),
							Hint:    "write the path relative to the project's root, as git does: dir/file.go",
						})
					}
				}
			}
		}
	}
}
