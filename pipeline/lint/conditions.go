package lint

import (
	"fmt"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
)

// eachRule visits the rules of the events' pipelines, their includes and their jobs, created or not, once for each event and each
// job that has it. job is nil for the first two.
func (p *pass) eachRule(visit func(check *pipeline.Check, job *pipeline.Job)) {
	each := func(checks []pipeline.Check, job *pipeline.Job) {
		for i := range checks {
			if checks[i].Rule != nil {
				visit(&checks[i], job)
			}
		}
	}
	for _, top := range p.plans {
		eachPlan(top, func(plan *pipeline.Plan) {
			each(plan.Decision.Checks, nil)
			for _, include := range plan.Includes {
				each(include.Decision.Checks, nil)
			}
			for _, job := range slices.Concat(plan.Jobs, plan.Dropped) {
				each(job.Decision.Checks, job)
			}
		})
	}
}

// rulePath returns the key path of a key of a rule.
func (p *pass) rulePath(check *pipeline.Check, job *pipeline.Job, key string) string {
	if job == nil {
		return check.Keyword + ":" + key
	}
	return p.pathAt(check.Position, job) + ":rules:" + key
}

// checkManualWithoutAllowFailure looks at all rules of a job, since no event may meet one of them. Those that block merge request
// pipelines are reported by blocking-manual-in-merge-request.
func checkManualWithoutAllowFailure(p *pass) {
	_, blocking := p.blockingRules()
	p.eachRule(func(check *pipeline.Check, job *pipeline.Job) {
		rule := check.Rule
		if job == nil || rule.When != pipeline.Manual || rule.AllowFailure != nil || isWritten(job.Position("allow_failure")) ||
			blocking[check.Position] != nil {
			return
		}
		p.report(Finding{
			Position: rule.Keywords["when"], Path: p.rulePath(check, job, "when"),
			Message: "a manual job from `rules` blocks the pipeline unless allow_failure is set",
			Hint:    "write `allow_failure: false` if it should block, `allow_failure: true` if not",
		})
	})
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
	p.eachRule(func(check *pipeline.Check, job *pipeline.Job) {
		for _, m := range variableUse().FindAllStringSubmatch(check.Rule.If, -1) {
			writer, fromDotenv := writers[m[1]]
			if !fromDotenv || defined[m[1]] {
				continue
			}
			p.report(Finding{
				Position: check.Rule.Keywords["if"], Path: p.rulePath(check, job, "if"),
				Message: fmt.Sprintf("$%s is empty here: it comes from the dotenv report of job %s, which runs after rules are evaluated", m[1], writer),
				Hint:    "test it in the script, or start a child pipeline with it",
			})
		}
	})
}

var variableUse = lazyregexp.New(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

func checkChangesNeverMatch(p *pass) {
	p.eachRule(func(check *pipeline.Check, job *pipeline.Job) {
		report := func(keyword string, pattern pipeline.Pattern) {
			p.report(Finding{
				Position: pattern.Position, Path: p.rulePath(check, job, keyword),
				Message: fmt.Sprintf("%q matches nothing", pattern.Text),
				Hint:    "write the path relative to the project's root, as git does: dir/file.go",
			})
		}
		for _, pattern := range check.Rule.Changes {
			if !isPathOfGit(pattern.Text) || strings.HasPrefix(pattern.Text, "/") {
				report("changes", pattern)
			}
		}
		for _, pattern := range check.Rule.Exists {
			if !isPathOfGit(pattern.Text) {
				report("exists", pattern)
			}
		}
	})
}

// isPathOfGit reports whether a pattern can match a path as git writes it.
func isPathOfGit(pattern string) bool {
	return !strings.HasPrefix(pattern, "./") && !strings.HasPrefix(pattern, "../") && !strings.Contains(pattern, "//")
}
