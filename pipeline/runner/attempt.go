package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/executor"
)

// Folders and files of a job in its run.
const (
	jobsFolder      = "jobs"
	artifactsFolder = "artifacts"
	reportsFolder   = "reports"
	logFile         = "log"
)

// errJobTimeout is the cause of a job's context when its timeout has passed.
var errJobTimeout = errors.New("the job has timed out")

// An attempt is one execution of a job. Everything that it needs from the run is fixed before it starts, so it shares no
// mutable state.
type attempt struct {
	run     *run
	node    *node
	id      int
	number  int
	sources []JobState
	dotenv  []pipeline.Variable
	started time.Time
	// pipelineID and pipelineVariables are those of the job's pipeline; unmet is why a need in another one is not met.
	pipelineID        int
	pipelineVariables []pipeline.Variable
	unmet             error

	build *build
	env   jobEnvironment
	log   *jobLog
	out   *maskingWriter
	// printed counts what the job's scripts have written, of which maxLog bytes are kept.
	printed int64
	// keys are those of the job's caches.
	keys []string
	// badExport is why the steps after a script fail: what it wrote to GITLAB_ENV is no variable.
	badExport error
	// session runs the job's scripts; nil before it is prepared.
	session executor.Session
}

// An outcome is how an attempt ended.
type outcome struct {
	status      Status
	failure     Failure
	err         error
	exitCode    int
	coverage    string
	dotenv      []pipeline.Variable
	reports     []string
	environment *Deployment
	// fatal reports that the machine, not the job, has failed: other jobs would fail as well.
	fatal bool
}

// timeout returns the job's `timeout`, or the run's.
func (a *attempt) timeout() time.Duration {
	if t := a.node.job.Timeout; t > 0 {
		return t
	}
	return a.run.options.Timeout
}

// folder returns a path in the job's folder of the run.
func (a *attempt) folder(name string) string {
	return filepath.Join(a.run.folder(a.node.state.Slug), name)
}

// logf writes a line of this program into the job's log.
func (a *attempt) logf(format string, args ...any) {
	text := strings.TrimSuffix(fmt.Sprintf(format, args...), "\n")
	a.out.line("[slipway] " + strings.ReplaceAll(text, "\n", "\n[slipway]   ") + "\n")
}

// execute runs the job. It returns after all processes that the job started have ended.
func (a *attempt) execute(ctx context.Context) (result outcome) {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	if err := a.open(func(err error) { abort(fmt.Errorf("write the log: %w", err)) }); err != nil {
		return a.broken(err)
	}
	defer func() {
		if result.status == Failed {
			a.logf("Job failed: %v", result.err)
		} else {
			a.logf("Job %s", map[Status]string{Success: "succeeded", Canceled: "canceled"}[result.status])
		}
		_ = a.out.Flush()
		err := a.log.Close()
		if a.build != nil {
			err = errors.Join(err, a.build.close(result.status == Failed && shouldRetry(a.node.job.Retry, a.number, result.failure, result.exitCode)))
		}
		if err != nil && !result.fatal {
			result = a.broken(err)
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout(), errJobTimeout)
	defer cancel()

	defer a.cleanup()
	if err := a.prepare(ctx); err != nil {
		return a.stopped(ctx, a.failed(err))
	}
	result, over := a.script(ctx)
	if after := a.afterScript(ctx, result); after.status == Failed && result.status == Success {
		result = after
	}
	if left := a.cleanup(); left > 0 && result.status == Success {
		a.logf("Ended %s that the script left behind", plural(left, "process"))
	}
	if result.status == Canceled || result.fatal || over {
		return result
	}
	return a.finish(context.WithoutCancel(ctx), result)
}

// script runs `before_script` and `script`; over reports whether the job's timeout has passed, after which nothing is kept.
func (a *attempt) script(ctx context.Context) (result outcome, over bool) {
	job := a.node.job
	scriptCtx, cancel := ctx, context.CancelFunc(func() {})
	if limit := a.env.duration("RUNNER_SCRIPT_TIMEOUT", 0); limit > 0 {
		scriptCtx, cancel = context.WithTimeoutCause(ctx, limit, errJobTimeout)
	}
	defer cancel()
	code, err := a.shell(scriptCtx, "script", append(append([]string{}, job.BeforeScript...), job.Script...), nil)
	switch {
	case err != nil:
		result = a.broken(err)
	case code != 0:
		result = exitOutcome(code)
	default:
		result = outcome{status: Success}
	}
	result = a.stopped(scriptCtx, result)
	switch {
	case result.failure == JobTimeout:
		a.logf("WARNING: the script was stopped: it exceeded its timeout of %s", a.limit())
	case result.status == Canceled:
		a.logf("WARNING: the script was canceled")
	}
	if err := a.readJobVariables(); err != nil && result.status == Success {
		result = a.broken(err)
	}
	return result, result.failure == JobTimeout && errors.Is(context.Cause(ctx), errJobTimeout)
}

// exitOutcome returns the outcome of a script that ended with an exit code other than zero.
func exitOutcome(code int) outcome {
	return outcome{status: Failed, failure: ScriptFailure, exitCode: code, err: fmt.Errorf("exit code %d", code)}
}

// A jobError is an error that GitLab reports as a failure of the script, with an exit code.
type jobError struct {
	code int
	err  error
}

func (e *jobError) Error() string { return e.err.Error() }

func (e *jobError) Unwrap() error { return e.err }

// failed returns the outcome of an error before the script.
func (a *attempt) failed(err error) outcome {
	if e, ok := errors.AsType[*jobError](err); ok {
		return outcome{status: Failed, failure: ScriptFailure, exitCode: e.code, err: e.err}
	}
	if _, ok := errors.AsType[*dependencyError](err); ok {
		return outcome{status: Failed, failure: DependencyFailure, err: err}
	}
	return a.broken(err)
}

// cleanup ends the session and the scripts' background processes, and returns their number.
func (a *attempt) cleanup() (left int) {
	if a.session == nil {
		return 0
	}
	left, err := a.session.Cleanup()
	if err != nil {
		a.logf("WARNING: %v", err)
	}
	a.session = nil
	return left
}

// open creates the log and the build folder, and sets the job's variables.
func (a *attempt) open(broken func(error)) (err error) {
	if err := a.openLog(broken); err != nil {
		return err
	}
	if a.build, err = a.run.workspace.open(a.node.state.Slug, a.projectPath(), a.run.options.TempDir, a.number > 1); err != nil {
		return errors.Join(err, a.log.Close())
	}
	a.setVariables(a.predefined(), a.build.temporaryProject())
	return nil
}

// openLog opens the job's log. The log of an earlier attempt is kept beside it.
func (a *attempt) openLog(broken func(error)) (err error) {
	folder := a.run.folder(a.node.state.Slug)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	path := filepath.Join(folder, logFile)
	if a.number > 1 {
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, a.number-1)); err != nil {
			return err
		}
	}
	if a.log, err = openLog(path, broken, a.run.lines(a.node)); err != nil {
		return err
	}
	a.out = newMaskingWriter(a.log, nil)
	return nil
}

// setVariables sets the job's variables, with file-type variables in a folder, and lets the log mask the secrets among them.
func (a *attempt) setVariables(predefined []pipeline.Variable, folder string) {
	a.env = environmentOf(a.node.graph.plan, a.node.job, a.dotenv, predefined, folder)
	if image := a.node.job.Image; image != nil {
		a.env.variables["CI_JOB_IMAGE"] = a.env.expand(image.Name)
	}
	a.out = newMaskingWriter(a.log, a.env.secrets)
}

// projectPath returns CI_PROJECT_PATH, the path of the checkout below CI_BUILDS_DIR, as on GitLab.
func (a *attempt) projectPath() string {
	if path := a.predefinedValue("CI_PROJECT_PATH"); path != "" && filepath.IsLocal(path) {
		return path
	}
	return "project"
}

// prepare creates the checkout, with caches and artifacts in it.
func (a *attempt) prepare(ctx context.Context) error {
	job := a.node.job
	if a.unmet != nil {
		return a.unmet
	}
	if a.node.unknownExpression != nil {
		return a.node.unknownExpression
	}
	if job.Run != nil {
		return errors.New("the keyword run needs GitLab's step runner, which is not supported here")
	}
	if err := os.MkdirAll(a.build.project, 0o755); err != nil { //nolint:gosec
		return err
	}
	if err := a.env.writeFiles(); err != nil {
		return err
	}
	if err := os.WriteFile(a.build.jobVariables(), nil, 0o644); err != nil { //nolint:gosec
		return err
	}
	a.warnOfSettings()
	for _, note := range a.node.unsupported() {
		a.logf("%s", note)
	}
	var err error
	if a.session, err = a.run.executor.Prepare(ctx, a.executorJob()); err != nil {
		return err
	}
	if err := a.runHook(ctx); err != nil {
		return err
	}
	if err := a.getSources(ctx); err != nil {
		return err
	}
	if err := a.restoreCaches(ctx); err != nil {
		return err
	}
	if err := a.fetchArtifacts(); err != nil {
		return err
	}
	if job.ResourceGroup != "" {
		a.logf("Holding the resource group %s", job.ResourceGroup)
	}
	return nil
}

// unsupported logs features of the job that GitLab supports and a run on one machine does not.
func (n *node) unsupported() []string {
	var notes []string
	for _, need := range n.job.Needs {
		if need.Project != "" {
			notes = append(notes, fmt.Sprintf("Artifacts of %s in the project %s are not fetched here", need.Job, need.Project))
		}
	}
	for _, k := range []struct {
		name  string
		value any
	}{{"id_tokens", n.job.IDTokens}, {"secrets", n.job.Secrets}, {"release", n.job.Release}, {"pages", n.job.Pages}} {
		if k.value != nil {
			notes = append(notes, "`"+k.name+"` has no effect here: it needs a GitLab instance")
		}
	}
	return notes
}

// afterScript runs `after_script` in a separate shell. Its failure counts only if AFTER_SCRIPT_IGNORE_ERRORS is false. It also
// runs when the script was canceled, but not when the job's timeout has passed, as on GitLab.
func (a *attempt) afterScript(ctx context.Context, script outcome) outcome {
	job := a.node.job
	if len(job.AfterScript) == 0 || errors.Is(context.Cause(ctx), errJobTimeout) {
		return outcome{}
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx),
		a.env.duration("RUNNER_AFTER_SCRIPT_TIMEOUT", a.run.options.AfterScriptTimeout), errJobTimeout)
	defer cancel()
	status := string(script.status)
	if script.failure == JobTimeout {
		status = "timedout"
	}
	a.logf("after_script")
	var err error
	code := 1
	if a.badExport != nil {
		_, err = fmt.Fprintf(scriptOutput{a}, "bash: line 1: %v\n", a.badExport)
	} else {
		code, err = a.shell(ctx, "after_script", job.AfterScript, map[string]string{"CI_JOB_STATUS": status})
		err = errors.Join(err, a.readJobVariables())
	}
	failed := outcome{status: Failed, failure: ScriptFailure, exitCode: code}
	switch {
	case errors.Is(context.Cause(ctx), errJobTimeout):
		failed.err = errors.New("after_script took too long and was ended")
		if !a.ignoresAfterScript() {
			a.logf("WARNING: %v", failed.err)
		}
	case err != nil:
		failed.failure, failed.err = SystemFailure, fmt.Errorf("after_script: %w", err)
	case code != 0:
		failed.err = fmt.Errorf("after_script failed with exit code %d", code)
	default:
		return outcome{}
	}
	if !a.ignoresAfterScript() {
		return failed
	}
	a.logf("WARNING: %v; the job's result stays", failed.err)
	return outcome{}
}

// ignoresAfterScript reports whether a failure of after_script does not change the job's result.
func (a *attempt) ignoresAfterScript() bool {
	ignore, err := strconv.ParseBool(a.env.variables["AFTER_SCRIPT_IGNORE_ERRORS"])
	return err != nil || ignore
}

// shell runs commands in a shell with the job's variables and those in more, and returns the exit code.
func (a *attempt) shell(ctx context.Context, name string, commands []string, more map[string]string) (code int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	variables := maps.Clone(a.env.variables)
	maps.Copy(variables, more)
	if err := checkSizes(variables); err != nil {
		return 0, err
	}
	return a.session.Run(ctx, executor.Script{
		Name: name, Text: shellScript(commands, a.scriptOptions(name)), Variables: variables, Output: scriptOutput{a},
	})
}

// scriptOptions returns the options of scripts that variables set.
func (a *attempt) scriptOptions(name string) scriptOptions {
	o := scriptOptions{
		dir: a.build.project, trace: a.env.flag("CI_DEBUG_TRACE"), sections: a.env.flag("FF_SCRIPT_SECTIONS"), legacyEval: a.env.flag("FF_USE_LEGACY_BASH_EVAL"),
		variables: a.env.variables,
	}
	if strategy, err := strconv.ParseBool(a.env.variables["FF_USE_NEW_BASH_EVAL_STRATEGY"]); err == nil && !strategy {
		o.legacyEval = true
	}
	if name == hookScript {
		// The checkout does not exist yet.
		o.dir = a.build.root
	}
	return o
}

// hookScript is the name of the script of hooks:pre_get_sources_script.
const hookScript = "pre_get_sources_script"

// runHook runs `hooks:pre_get_sources_script`. Its failure fails the job; the variables that it writes to GITLAB_ENV apply to what follows.
func (a *attempt) runHook(ctx context.Context) error {
	hooks, _ := a.node.job.Hooks.(map[string]any)
	commands := texts(hooks[hookScript])
	if len(commands) == 0 {
		return nil
	}
	a.logf("hooks:%s", hookScript)
	code, err := a.shell(ctx, hookScript, commands, nil)
	if err == nil && code != 0 {
		err = &jobError{code, fmt.Errorf("hooks:%s failed with exit code %d", hookScript, code)}
	}
	if err != nil {
		return err
	}
	if err := a.readJobVariables(); err != nil || a.badExport == nil {
		return err
	}
	return &jobError{1, a.badExport}
}

// texts returns the strings of a list, which is a []string, or a []any if it was read from JSON.
func texts(value any) []string {
	if list, ok := value.([]string); ok {
		return list
	}
	var out []string
	list, _ := value.([]any)
	for _, item := range list {
		if text, ok := item.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

// maxLog is GitLab's default limit for the log of a job.
const maxLog = 100 << 20

// scriptOutput writes the output of a script to the log, up to Options.MaxLog. More output is dropped and does not fail the job.
type scriptOutput struct{ *attempt }

func (o scriptOutput) Write(p []byte) (int, error) {
	limit := cmp.Or(o.run.options.MaxLog, maxLog)
	left := limit - o.printed
	o.printed += int64(len(p))
	if left >= int64(len(p)) {
		return o.out.Write(p)
	}
	if left >= 0 {
		if _, err := o.out.Write(p[:left]); err != nil {
			return 0, err
		}
		fmt.Fprintln(o.out)
		o.logf("WARNING: the log has reached the limit of %d MB: further output is dropped", limit>>20)
	}
	return len(p), nil
}

// stopped replaces the outcome of an attempt that was stopped by the reason.
func (a *attempt) stopped(ctx context.Context, result outcome) outcome {
	switch cause := context.Cause(ctx); {
	case cause == nil || result.fatal:
		return result
	case errors.Is(cause, errJobTimeout):
		return outcome{status: Failed, failure: JobTimeout, err: fmt.Errorf("it took longer than its timeout of %s", a.limit())}
	case errors.Is(cause, context.Canceled):
		return outcome{status: Canceled}
	default:
		return a.broken(cause)
	}
}

// limit returns the shorter of the job's timeouts.
func (a *attempt) limit() time.Duration {
	return min(a.timeout(), a.env.duration("RUNNER_SCRIPT_TIMEOUT", a.timeout()))
}

// broken returns the outcome of an error that is not the script's.
func (a *attempt) broken(err error) outcome {
	return outcome{status: Failed, failure: SystemFailure, err: err, fatal: isMachineError(err)}
}

// finish saves the job's artifacts, reports and caches. If that fails, the job fails, as on GitLab.
func (a *attempt) finish(ctx context.Context, result outcome) outcome {
	success := result.status == Success
	fail := func(err error) {
		if result.status == Success || isMachineError(err) {
			result.status, result.failure, result.exitCode, result.err, result.fatal = Failed, ScriptFailure, 1, err, isMachineError(err)
			if result.fatal {
				result.failure = SystemFailure
			}
		}
		a.logf("WARNING: %v", err)
	}
	spec := a.node.job.Artifacts
	if spec != nil || len(a.node.job.Cache) > 0 {
		err := a.badExport
		if !a.build.hasProject() {
			err = errors.New("the script has removed the project's folder")
		}
		if err != nil && success {
			result = outcome{status: Failed, failure: ScriptFailure, exitCode: 1, err: fmt.Errorf("nothing can be kept: %w", err)}
		}
		if err != nil {
			return result
		}
	}
	if spec != nil {
		if wanted(spec.When, success) {
			if err := a.keepArtifacts(ctx, spec); err != nil {
				fail(err)
			}
		}
		var err error
		if result.reports, result.dotenv, err = a.keepReports(spec); err != nil {
			fail(err)
		}
	}
	if err := a.saveCaches(ctx, success); err != nil {
		// A cache only makes the next run faster: its loss does not fail the job.
		if isMachineError(err) {
			fail(err)
		} else {
			a.logf("WARNING: %v", err)
		}
	}
	if pattern := a.node.job.Coverage; pattern != "" {
		result.coverage = a.coverage(pattern)
	}
	if result.status == Success {
		result.environment = a.deployment(result.dotenv)
	}
	return result
}

func (a *attempt) coverage(pattern string) string {
	if err := a.out.Flush(); err != nil {
		return ""
	}
	log, err := os.Open(a.folder(logFile))
	if err != nil {
		return ""
	}
	defer log.Close()
	coverage, err := coverageOf(log, pattern)
	if err != nil {
		a.logf("WARNING: %v", err)
	}
	return coverage
}

// deployment returns the environment of the job; its URL may use the job's own dotenv report.
func (a *attempt) deployment(own []pipeline.Variable) *Deployment {
	spec := a.node.job.Environment
	if spec == nil {
		return nil
	}
	variables := maps.Clone(a.env.variables)
	for _, v := range own {
		variables[v.Key] = v.Value
	}
	return &Deployment{
		Name: expand(spec.Name, variables), URL: strings.TrimSpace(expand(spec.URL, variables)), Action: cmp.Or(spec.Action, "start"), OnStop: spec.OnStop,
	}
}
