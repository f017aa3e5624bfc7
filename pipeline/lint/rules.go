package lint

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/internal/docs"
)

// A Rule describes a pitfall and checks for it.
type Rule struct {
	// ID is what `--disable`, `# slipway:disable=` and .slipway.yml name. It is never reused.
	ID string
	// Summary says what the rule reports, Why what happens if it is ignored.
	Summary, Why string
	// Severity is Error where the job or the pipeline cannot work, Off for rules that have to be switched on.
	Severity Severity
	check    func(*pass)
}

// page returns the address of the page that documents the rules; each has a heading that is its id.
func page() string { return docs.Page("lint.md") }

// URL returns the address of the rule's documentation.
func (r Rule) URL() string { return page() + "#" + r.ID }

// invalid is the id of what GitLab refuses; it cannot be switched off.
const invalid = "invalid"

var invalidRule = Rule{
	ID: invalid, Severity: Error,
	Summary: "a configuration that GitLab refuses",
	Why:     "no pipeline is created, on all events or on those that are listed",
}

var onlineRule = Rule{
	ID: gitlabRule, Severity: Error,
	Summary: "GitLab's own CI lint reports a problem, or compiles the configuration differently",
	Why:     "GitLab decides what runs",
}

// Rules returns the rules that can be switched on and off, sorted by id.
func Rules() []Rule { return slices.Clone(rules) }

// rules is sorted by id.
var rules = []Rule{
	{
		ID: "archived-tool", Severity: Warning, check: checkArchivedTool,
		Summary: "an image of a tool that is no longer maintained",
		Why:     "kaniko was archived in June 2025: its vulnerabilities stay open; GitLab recommends rootless BuildKit instead",
	},
	{
		ID: "artifacts-lost-on-failure", Severity: Warning, check: checkArtifactsLostOnFailure,
		Summary: "`artifacts:paths` beside a JUnit report without `when: always`",
		Why:     "reports are always uploaded, paths only after success: the files that explain a failed test are missing",
	},
	{
		ID: "blocking-manual-in-merge-request", Severity: Warning, check: checkBlockingManual,
		Summary: "a manual job without `allow_failure: true` in a merge request pipeline",
		Why:     "the pipeline is blocked until someone starts the job: merging waits, and the diff shows no coverage",
	},
	{
		ID: "cache-key-constant", Severity: Warning, check: checkCacheKeyConstant,
		Summary: "`cache:key:files` with a path that git does not write, such as `./go.sum`",
		Why:     "GitLab asks git for the path as it is written; if no file is found, the key is the same for all commits, and an outdated cache is never replaced",
	},
	{
		ID: "cache-outside-project", Severity: Warning, check: checkCacheOutsideProject,
		Summary: "`cache:paths` outside of the project's folder",
		Why:     "the runner caches only what is below CI_PROJECT_DIR: it ignores the path with a warning in the log",
	},
	{
		ID: "cache-unprotected", Severity: Warning, check: checkCacheUnprotected,
		Summary: "`cache:unprotect: true`",
		Why:     "protected builds then restore what any branch has written: untrusted code can poison a release",
	},
	{
		ID: "changes-always-true", Severity: Warning, check: checkChangesAlwaysTrue,
		Summary: "`rules:changes` that decides on a job in pipelines without a diff",
		Why:     "for tags, schedules and new branches GitLab takes `changes` for true: the job runs whatever has changed",
	},
	{
		ID: "changes-never-match", Severity: Warning, check: checkChangesNeverMatch,
		Summary: "a `changes` or `exists` pattern that matches nothing",
		Why:     "paths are relative to the project's root, without `./`, `//` or a leading `/`",
	},
	{
		ID: "child-pipeline-invalid", Severity: Error, check: checkChildPipelines,
		Summary: "a child pipeline that GitLab cannot create, or whose job needs a job of its parent that cannot have passed",
		Why:     "GitLab reports it only when the trigger job, or the child's job, runs: the parent pipeline is created, then fails",
	},
	{
		ID: "component-global-keyword", Severity: Warning, check: checkComponentGlobals,
		Summary: "a template with inputs that sets a global keyword",
		Why:     "`default`, `image`, `variables`, `stages`, ... change all jobs of the projects that include the template",
	},
	{
		ID: "coverage-without-number", Severity: Warning, check: checkCoveragePattern,
		Summary: "a `coverage` pattern that cannot match a number",
		Why:     "GitLab takes the first number from what the pattern matches: without one, the coverage stays empty",
	},
	{
		ID: "covermode-with-race", Severity: Warning, check: checkCovermodeWithRace,
		Summary: "`go test -race` with `-covermode=count` or `set`",
		Why:     "Go refuses -race with any mode but atomic",
	},
	{
		ID: "deploy-interruptible", Severity: Warning, check: checkInterruptibleDeployment,
		Summary: "a deployment that is `interruptible: true`",
		Why:     "a newer pipeline stops the rollout halfway",
	},
	{
		ID: "deploy-without-resource-group", Severity: Warning, check: checkDeployWithoutResourceGroup,
		Summary: "a deployment to staging or production without `resource_group`",
		Why:     "two pipelines deploy to one environment at the same time, and the older one can win",
	},
	{
		ID: "deprecated-keyword", Severity: Warning, check: checkDeprecatedKeywords,
		Summary: "a keyword that GitLab has deprecated or removed",
		Why:     "`only`/`except`, global `image` or `cache`, `strategy: depend`, ... have successors",
	},
	{
		ID: "dotenv-in-rules", Severity: Warning, check: checkDotenvInRules,
		Summary: "a variable of a dotenv report in `rules:if`",
		Why:     "rules are evaluated before any job runs: the variable is empty there",
	},
	{
		ID: "duplicate-key", Severity: Warning, check: checkDuplicateKeys,
		Summary: "a key that occurs twice in one mapping, as two jobs of one name",
		Why:     "the last one wins, and the first one is silently ignored",
	},
	{
		ID: "duplicate-pipelines", Severity: Warning, check: checkDuplicatePipelines,
		Summary: "a push to a branch with an open merge request that starts two pipelines with the same jobs",
		Why:     "every job runs twice, and the two results can differ",
	},
	{
		ID: "environment-name-invalid", Severity: Warning, check: checkEnvironmentName,
		Summary: "an environment whose name is not valid once its variables are expanded",
		Why:     "GitLab fails the job when it creates the environment: names have letters, digits, spaces, -, _, /, $, {, } and ., and do not begin or end with /",
	},
	{
		ID: "environment-of-branch", Severity: Warning, check: checkEnvironmentOfBranch,
		Summary: "a branch's name in the name of an environment, or in the host of its URL",
		Why:     "branches can have names that environments and hosts cannot: the deployment of such a branch fails",
	},
	{
		ID: "go-cache-outside-project", Severity: Warning, check: checkGoCacheOutsideProject,
		Summary: "GOCACHE, GOMODCACHE or GOLANGCI_LINT_CACHE outside of the project's folder in a job with a cache",
		Why:     "the runner caches only what is below CI_PROJECT_DIR: every build starts with an empty cache",
	},
	{
		ID: "image-not-pinned", Severity: Warning, check: checkImageNotPinned,
		Summary: "an image or service without a tag, or with `latest`",
		Why:     "the same commit can build differently tomorrow",
	},
	{
		ID: "image-policy", Severity: Error, check: checkImagePolicy,
		Summary: "an image or service that the project's policy does not allow (`lint:images` in .slipway.yml)",
		Why:     "images come from registries without approval, or can be replaced under their tag",
	},
	{
		ID: "include-not-pinned", Severity: Warning, check: checkIncludeNotPinned,
		Summary: "an include of another project without `ref`, a component at a branch or `~latest`, a URL without `integrity`",
		Why:     "anyone who can push there changes this pipeline, without a commit here",
	},
	{
		ID: "include-policy", Severity: Error, check: checkIncludePolicy,
		Summary: "an include of a project or host that the project's policy does not allow (`lint:includes` in .slipway.yml)",
		Why:     "included files decide what runs with the project's variables and tokens",
	},
	{
		ID: "input-without-default", Severity: Off, check: checkInputWithoutDefault,
		Summary: "an input of a template without `default`",
		Why:     "including the template without the input is an error; a new input without a default breaks every project that includes it",
	},
	{
		ID: "input-without-description", Severity: Warning, check: checkInputWithoutDescription,
		Summary: "an input of a template without `description`",
		Why:     "the CI/CD Catalog and the form for new pipelines show the descriptions of inputs",
	},
	{
		ID: "job-without-rules", Severity: Warning, check: checkJobWithoutRules,
		Summary: "a job without `rules` that merge request pipelines leave out although they have other jobs",
		Why:     "jobs without rules run for branches and tags only: a change gets two pipelines, each with a part of the jobs",
	},
	{
		ID: "manual-without-allow-failure", Severity: Warning, check: checkManualWithoutAllowFailure,
		Summary: "`when: manual` in `rules` without `allow_failure`",
		Why:     "in rules it blocks the pipeline, on a job it does not: state which is meant",
	},
	{
		ID: "mixed-rules-and-only", Severity: Warning, check: checkMixedRulesAndOnly,
		Summary: "jobs with `only`/`except` that merge request pipelines leave out although they have jobs with `rules`",
		Why:     "the two have different defaults: a change gets two pipelines, each with a part of the jobs",
	},
	{
		ID: "needs-and-dependencies", Severity: Warning, check: checkNeedsAndDependencies,
		Summary: "a job with `needs` and `dependencies`",
		Why:     "with `needs`, artifacts come from the needed jobs; `needs:artifacts: false` excludes them",
	},
	{
		ID: "production-in-merge-request", Severity: Warning, check: checkProductionInMergeRequest,
		Summary: "a deployment to production in a merge request pipeline",
		Why:     "code that has not been merged is one click away from production",
	},
	{
		ID: "secret-echoed", Severity: Warning, check: checkSecretEchoed,
		Summary: "a script that writes a secret to the log",
		Why:     "logs are kept and shared, and masking does not cover every form of a value",
	},
	{
		ID: "shallow-history", Severity: Warning, check: checkShallowHistory,
		Summary: "a tool that compares with older commits, in a shallow clone",
		Why:     "GitLab clones 20 commits: without the merge base the tool fails or reports everything as new",
	},
	{
		ID: "shell-syntax", Severity: Error, check: checkShellSyntax,
		Summary: "a script that bash cannot parse",
		Why:     "the job fails on the runner",
	},
	{
		ID: "unquoted-input-in-rule", Severity: Warning, check: checkUnquotedInput,
		Summary: "an interpolated input in `rules:if` without quotes",
		Why:     "`$[[ inputs.x ]] == \"y\"` becomes `value == \"y\"`, which is not a valid expression",
	},
	{
		ID: "unused-hidden-job", Severity: Warning, check: checkUnusedHiddenJob,
		Summary: "a hidden job that nothing extends or references",
		Why:     "it has no effect; the name in an `extends` may be misspelt",
	},
	{
		ID: "unused-input", Severity: Warning, check: checkUnusedInput,
		Summary: "an input that the template never uses",
		Why:     "setting it has no effect",
	},
	{
		ID: "verification-in-after-script", Severity: Warning, check: checkVerificationInAfterScript,
		Summary: "a check, a signature or a gate in `after_script`",
		Why:     "after_script never changes the job's result: the job succeeds although the check fails",
	},
}
