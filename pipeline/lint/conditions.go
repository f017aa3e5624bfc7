package lint

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

func checkManualWithoutAllowFailure(p *pass) {
	for _, job := range p.jobs() {
		if value(job.node, "allow_failure") != nil {
			continue
		}
		for _, rule := range ruleList(value(job.node, "rules")) {
			key, when := entry(rule, "when")
			if when == nil || when.Value != "manual" || value(rule, "allow_failure") != nil {
				continue
			}
			p.report(Finding{
				Position: job.source.at(key), Path: "jobs:" + job.name + ":rules:when",
				Message: "a manual job that comes from `rules` blocks the pipeline",
				Hint:    "write `allow_failure: false` if that is meant, `allow_failure: true` if not",
			})
		}
	}
}

func checkMixedRulesAndOnly(p *pass) {
	withRules := slices.ContainsFunc(p.jobs(), func(j sourceJob) bool { return value(j.node, "rules") != nil })
	if !withRules {
		return
	}
	for _, job := range p.jobs() {
		for _, name := range []string{"only", "except"} {
			if key, _ := entry(job.node, name); key != nil {
				p.report(Finding{
					Position: job.source.at(key), Path: "jobs:" + job.name + ":" + name,
					Message: fmt.Sprintf("`%s` here, `rules` in other jobs", name),
					Hint:    "write this job's conditions as `rules`",
				})
			}
		}
	}
}

// dotenvLine is a command that writes NAME=value.
var dotenvLine = lazyregexp.New(`(?:^|[\s"'\\n])([A-Za-z_][A-Za-z0-9_]*)=`)

func checkDotenvInRules(p *pass) {
	// Which variables come from dotenv reports: those that a script with such a report writes into its file.
	writers := map[string]string{}
	for _, job := range p.jobs() {
		var files []string
		for _, file := range items(value(value(value(job.node, "artifacts"), "reports"), "dotenv")) {
			files = append(files, file.Value)
		}
		for _, keyword := range []string{"before_script", "script"} {
			scalars(value(job.node, keyword), func(n *yaml.Node) {
				for line := range strings.SplitSeq(n.Value, "\n") {
					before, after, redirects := strings.Cut(line, ">")
					if !redirects || !slices.ContainsFunc(files, func(f string) bool { return strings.Contains(after, f) }) {
						continue
					}
					for _, m := range dotenvLine().FindAllStringSubmatch(before, -1) {
						writers[m[1]] = job.name
					}
				}
			})
		}
	}
	given := p.definedVariables()
	for _, s := range p.sources {
		s.conditions(func(path string, node *yaml.Node) {
			for _, m := range variableUse().FindAllStringSubmatch(node.Value, -1) {
				job, fromDotenv := writers[m[1]]
				if !fromDotenv || given[m[1]] {
					continue
				}
				p.report(Finding{
					Position: s.at(node), Path: path,
					Message: fmt.Sprintf("$%s comes from the dotenv report of job %s, which runs after rules are evaluated", m[1], job),
					Hint:    "test it in the script, or start a child pipeline with it",
				})
			}
		})
	}
}

var variableUse = lazyregexp.New(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// definedVariables are those that YAML gives a value.
func (p *pass) definedVariables() map[string]bool {
	names := map[string]bool{}
	note := func(variables *yaml.Node) {
		if variables == nil || variables.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i < len(variables.Content); i += 2 {
			names[variables.Content[i].Value] = true
		}
	}
	for _, s := range p.sources {
		note(value(s.body, "variables"))
		for _, rule := range items(value(value(s.body, "workflow"), "rules")) {
			note(value(rule, "variables"))
		}
		for _, job := range s.jobs {
			note(value(job.node, "variables"))
		}
	}
	return names
}

// diffOnly are conditions that only pipelines with a real diff of the whole change meet, or pushes to the default branch
// or one that is named, where the diff of the push is the change.
var diffOnly = lazyregexp.New(`merge_request|CI_MERGE_REQUEST|CI_COMMIT_(BRANCH|REF_NAME)\}?\s*==\s*["']|==\s*\$\{?CI_DEFAULT_BRANCH|\$\{?CI_DEFAULT_BRANCH\}?\s*==`)

// checkChangesAlwaysTrue speaks once of each list of rules.
func checkChangesAlwaysTrue(p *pass) {
	for _, job := range p.jobs() {
		for _, rule := range p.rulesOf(job) {
			// A rule that ends with "never" for what has no diff makes the rest safe; such lists are left alone.
			cond := value(rule, "if")
			if when := value(rule, "when"); when != nil && when.Value == "never" && cond != nil {
				break
			}
			key, changes := entry(rule, "changes")
			if !job.holds(rule) || changes == nil || value(changes, "compare_to") != nil || cond != nil && diffOnly().MatchString(cond.Value) {
				continue
			}
			p.report(Finding{
				Position: job.source.at(key), Path: "jobs:" + job.name + ":rules:changes",
				Message: "`changes` is true for tags, schedules and new branches, and sees only the last push of others",
				Hint:    "add `compare_to:` with the default branch, or `if: $CI_PIPELINE_SOURCE == \"merge_request_event\"`",
			})
			break
		}
	}
}

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
							Message: fmt.Sprintf("no path is like %q", pattern.Value),
							Hint:    "write it from the project's root, as git does: dir/file.go",
						})
					}
				}
			}
		}
	}
}
