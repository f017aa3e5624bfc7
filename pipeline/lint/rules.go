package lint

import "slices"

// A Rule is a pitfall that is looked for.
type Rule struct {
	// ID is what `--disable` and `# slipway:disable=` name. It is never reused.
	ID string
	// Summary says what the rule finds, Why what happens to those who do not listen.
	Summary, Why string
	// Severity is Error where the job or the pipeline cannot work.
	Severity Severity
	check    func(*pass)
}

// invalid is the id of what GitLab refuses; it cannot be switched off.
const invalid = "invalid"

// Rules lists the rules by id.
func Rules() []Rule { return slices.Clone(rules) }

// rules is sorted by id.
var rules = []Rule{
	{
		ID:       "archived-tool",
		Severity: Warning,
		Summary:  "an image of a tool that is no longer maintained",
		Why:      "kaniko was archived in June 2025: its holes stay open; GitLab names rootless BuildKit as the replacement",
		check:    checkArchivedTool,
	},
	{
		ID:       "artifacts-lost-on-failure",
		Severity: Warning,
		Summary:  "`artifacts:paths` beside `artifacts:reports` without `when: always`",
		Why:      "reports are uploaded always, paths only after success: the file that explains a failure is missing",
		check:    checkArtifactsLostOnFailure,
	},
	{
		ID:       "blocking-manual-in-merge-request",
		Severity: Warning,
		Summary:  "a manual job without `allow_failure: true` in a merge request pipeline",
		Why:      "the pipeline stays blocked: merging waits for the job, and coverage is not shown in the diff until it ran",
		check:    checkBlockingManual,
	},
	{
		ID:       "cache-outside-project",
		Severity: Warning,
		Summary:  "`cache:paths` outside of the project's folder",
		Why:      "the runner caches only what is below CI_PROJECT_DIR: the path is ignored with a warning in the log",
		check:    checkCacheOutsideProject,
	},
	{
		ID:       "cache-unprotected",
		Severity: Warning,
		Summary:  "`cache:unprotect: true`",
		Why:      "protected builds then restore what any branch has written: untrusted code can poison a release",
		check:    checkCacheUnprotected,
	},
	{
		ID:       "changes-always-true",
		Severity: Warning,
		Summary:  "`rules:changes` that pipelines without a diff meet",
		Why:      "on tags, schedules, new branches and in the web form `changes` is true; on branches it sees the last push only",
		check:    checkChangesAlwaysTrue,
	},
	{
		ID:       "changes-never-match",
		Severity: Warning,
		Summary:  "a `changes` or `exists` pattern that matches no path",
		Why:      "paths are relative to the project's root, without `./`, `//` or a leading `/`",
		check:    checkChangesNeverMatch,
	},
	{
		ID:       "child-pipeline-invalid",
		Severity: Error,
		Summary:  "a child pipeline that GitLab cannot create",
		Why:      "GitLab finds it when the job that triggers it runs: the pipeline is created, then fails",
		check:    checkChildPipelines,
	},
	{
		ID:       "component-global-keyword",
		Severity: Warning,
		Summary:  "a template with inputs that sets a global keyword",
		Why:      "`default`, `image`, `variables`, `stages`, ... change the jobs of everybody who includes the template",
		check:    checkComponentGlobals,
	},
	{
		ID:       "coverage-without-number",
		Severity: Warning,
		Summary:  "a `coverage` pattern that cannot find a number",
		Why:      "GitLab takes the first number of the last line that matches: without a digit in the pattern there is none",
		check:    checkCoveragePattern,
	},
	{
		ID:       "covermode-with-race",
		Severity: Warning,
		Summary:  "`go test -race` with `-covermode=count` or `set`",
		Why:      "Go refuses -race with another mode than atomic",
		check:    checkCovermodeWithRace,
	},
	{
		ID:       "deploy-interruptible",
		Severity: Warning,
		Summary:  "a deployment that is `interruptible: true`",
		Why:      "a newer pipeline stops the rollout half-way",
		check:    checkInterruptibleDeployment,
	},
	{
		ID:       "deploy-without-resource-group",
		Severity: Warning,
		Summary:  "a deployment without `resource_group`",
		Why:      "two pipelines roll out to one environment at once, and the older one can win",
		check:    checkDeployWithoutResourceGroup,
	},
	{
		ID:       "deprecated-keyword",
		Severity: Warning,
		Summary:  "a keyword that GitLab no longer develops, or has removed",
		Why:      "`only`/`except`, global `image` or `cache`, `strategy: depend`, ... have successors",
		check:    checkDeprecatedKeywords,
	},
	{
		ID:       "dotenv-in-rules",
		Severity: Warning,
		Summary:  "a variable of a dotenv report in `rules:if`",
		Why:      "rules are evaluated before any job runs: the variable is empty there",
		check:    checkDotenvInRules,
	},
	{
		ID:       "duplicate-key",
		Severity: Warning,
		Summary:  "a job, or a keyword of a job, that a file has twice",
		Why:      "the last one wins, and the first one is forgotten without a word",
		check:    checkDuplicateKeys,
	},
	{
		ID:       "duplicate-pipelines",
		Severity: Warning,
		Summary:  "a push to a branch with an open merge request that starts two pipelines with the same jobs",
		Why:      "every job runs twice, and the two results can differ",
		check:    checkDuplicatePipelines,
	},
	{
		ID:       "go-cache-outside-project",
		Severity: Warning,
		Summary:  "GOCACHE, GOMODCACHE or GOLANGCI_LINT_CACHE outside of the project's folder in a job with a cache",
		Why:      "the runner caches only what is below CI_PROJECT_DIR: every build starts cold",
		check:    checkGoCacheOutsideProject,
	},
	{
		ID:       "image-not-pinned",
		Severity: Warning,
		Summary:  "an image or service without a tag, or `latest`",
		Why:      "the same commit builds differently tomorrow",
		check:    checkImageNotPinned,
	},
	{
		ID:       "include-not-pinned",
		Severity: Warning,
		Summary:  "an include of another project without `ref`, a component at a branch or `~latest`, a URL without `integrity`",
		Why:      "whoever can push there changes this pipeline, without a trace here",
		check:    checkIncludeNotPinned,
	},
	{
		ID:       "input-without-default",
		Severity: Warning,
		Summary:  "an input of a template without `default`",
		Why:      "whoever includes the template without it gets an error; a new one breaks everybody",
		check:    checkInputWithoutDefault,
	},
	{
		ID:       "input-without-description",
		Severity: Warning,
		Summary:  "an input of a template without `description`",
		Why:      "the Catalog shows inputs by their descriptions",
		check:    checkInputWithoutDescription,
	},
	{
		ID:       "job-without-rules",
		Severity: Warning,
		Summary:  "a job without `rules` that merge request pipelines leave out",
		Why:      "such jobs run for branches and tags only: mixed with jobs that have rules, a change gets two half pipelines",
		check:    checkJobWithoutRules,
	},
	{
		ID:       "manual-without-allow-failure",
		Severity: Warning,
		Summary:  "`when: manual` in `rules` without `allow_failure`",
		Why:      "in rules it blocks the pipeline, on a job it does not: say which is meant",
		check:    checkManualWithoutAllowFailure,
	},
	{
		ID:       "mixed-rules-and-only",
		Severity: Warning,
		Summary:  "jobs with `only`/`except` beside jobs with `rules`",
		Why:      "the two have different defaults: an event gets a pipeline with half of the jobs",
		check:    checkMixedRulesAndOnly,
	},
	{
		ID:       "needs-and-dependencies",
		Severity: Warning,
		Summary:  "a job with `needs` and `dependencies`",
		Why:      "with `needs`, artifacts come from the needed jobs; `needs:artifacts: false` leaves them out",
		check:    checkNeedsAndDependencies,
	},
	{
		ID:       "production-in-merge-request",
		Severity: Warning,
		Summary:  "a deployment to production in a merge request pipeline",
		Why:      "code that nobody has merged is one click away from production",
		check:    checkProductionInMergeRequest,
	},
	{
		ID:       "secret-echoed",
		Severity: Warning,
		Summary:  "a script that writes a secret to the log",
		Why:      "logs are kept and shared; masking does not know every form of a value",
		check:    checkSecretEchoed,
	},
	{
		ID:       "shallow-history",
		Severity: Warning,
		Summary:  "a tool that compares with older commits, in a shallow clone",
		Why:      "GitLab clones 20 commits: the merge base is missing and the tool fails or reports everything as new",
		check:    checkShallowHistory,
	},
	{
		ID:       "shell-syntax",
		Severity: Error,
		Summary:  "a script that bash cannot parse",
		Why:      "the job fails on the runner, after the wait",
		check:    checkShellSyntax,
	},
	{
		ID:       "unquoted-input-in-rule",
		Severity: Warning,
		Summary:  "an interpolated input in `rules:if` without quotes",
		Why:      "`$[[ inputs.x ]] == \"y\"` becomes `value == \"y\"`, which is no expression",
		check:    checkUnquotedInput,
	},
	{
		ID:       "unused-hidden-job",
		Severity: Warning,
		Summary:  "a hidden job that nothing extends or references",
		Why:      "it does nothing; a typo in its user's `extends` may be the reason",
		check:    checkUnusedHiddenJob,
	},
	{
		ID:       "unused-input",
		Severity: Warning,
		Summary:  "an input that the template never uses",
		Why:      "who sets it expects an effect",
		check:    checkUnusedInput,
	},
	{
		ID:       "verification-in-after-script",
		Severity: Warning,
		Summary:  "a check, a signature or a gate in `after_script`",
		Why:      "after_script never changes the job's result: what fails there stays green",
		check:    checkVerificationInAfterScript,
	},
}
