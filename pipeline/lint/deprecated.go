package lint

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

func checkDeprecatedKeywords(p *pass) {
	for _, s := range p.sources {
		deprecatedGlobals(p, s)
		for _, job := range s.jobs {
			deprecatedInJob(p, job)
		}
	}
}

// deprecatedGlobals reports keywords that moved into `default`, or have another name now.
func deprecatedGlobals(p *pass, s *source) {
	for _, name := range deprecatedGlobalKeywords {
		if key, _ := entry(s.body, name); key != nil {
			p.report(Finding{
				Position: s.at(key), Path: name,
				Message: "this keyword is deprecated at the top level",
				Hint:    "move it into `default:`, as in default: {image: ...}",
			})
		}
	}
	if key, _ := entry(s.body, "types"); key != nil {
		p.report(Finding{
			Position: s.at(key), Path: "types", Message: "`types` was removed", Hint: "use `stages`",
		})
	}
}

func deprecatedInJob(p *pass, job sourceJob) {
	report := func(key *yaml.Node, path, message, hint string) {
		p.report(Finding{Position: job.source.at(key), Path: "jobs:" + job.name + ":" + path, Message: message, Hint: hint})
	}
	for _, name := range []string{"only", "except"} {
		if key, _ := entry(job.node, name); key != nil {
			report(key, name, "`only` and `except` are deprecated in favour of `rules`", "write the conditions as `rules`")
		}
	}
	if key, _ := entry(job.node, "type"); key != nil {
		report(key, "type", "`type` was removed", "use `stage`")
	}
	if key, strategy := entry(value(job.node, "trigger"), "strategy"); strategy != nil && strategy.Value == "depend" {
		report(key, "trigger:strategy", "`strategy: depend` is deprecated in favour of `strategy: mirror`", "write `strategy: mirror`")
	}
	if key, _ := entry(value(value(job.node, "artifacts"), "reports"), "cobertura"); key != nil {
		report(key, "artifacts:reports:cobertura", "`cobertura` was removed in GitLab 15.0",
			"write coverage_report: {coverage_format: cobertura, path: ...}")
	}
	if job.name == "pages" && value(job.node, "pages") == nil {
		report(job.key, "pages", "a job that is a Pages job only by its name is deprecated", "add `pages: true`; then it can have any name")
	}
	scalars(job.node, func(n *yaml.Node) {
		if !strings.Contains(n.Value, "CI_BUILD_") {
			return
		}
		for _, old := range removedVariables {
			if slices.Contains(words(n.Value), old.name) {
				report(n, "variables", fmt.Sprintf("$%s was removed in GitLab 16.0", old.name), "use $"+old.successor)
			}
		}
	})
}

// removedVariables are predefined variables that GitLab has renamed.
var removedVariables = []struct{ name, successor string }{
	{"CI_BUILD_BEFORE_SHA", "CI_COMMIT_BEFORE_SHA"},
	{"CI_BUILD_ID", "CI_JOB_ID"},
	{"CI_BUILD_MANUAL", "CI_JOB_MANUAL"},
	{"CI_BUILD_NAME", "CI_JOB_NAME"},
	{"CI_BUILD_REF", "CI_COMMIT_SHA"},
	{"CI_BUILD_REF_NAME", "CI_COMMIT_REF_NAME"},
	{"CI_BUILD_REF_SLUG", "CI_COMMIT_REF_SLUG"},
	{"CI_BUILD_REPO", "CI_REPOSITORY_URL"},
	{"CI_BUILD_STAGE", "CI_JOB_STAGE"},
	{"CI_BUILD_TAG", "CI_COMMIT_TAG"},
	{"CI_BUILD_TOKEN", "CI_JOB_TOKEN"},
	{"CI_BUILD_TRIGGERED", "CI_PIPELINE_TRIGGERED"},
}

// words returns the identifiers in a text.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
