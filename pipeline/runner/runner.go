package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/executor"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filelock"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/snapshot"
)

// Options configure how a plan is run. Dir, Env and Supervisor are required.
type Options struct {
	// Dir is the project's folder: a git work tree, or a folder in one.
	Dir string
	// CacheDir keeps checkouts and caches; os.UserCacheDir()/slipway if empty.
	CacheDir string
	// TempDir holds the jobs' TMPDIR; os.TempDir() if empty.
	TempDir string
	// MaxLog is the limit in bytes for the output that is kept of a job; 100 MiB, GitLab's default, if 0.
	MaxLog int64
	// Env is the environment of the caller, as os.Environ returns it. Jobs get the variables that programs need to run, and
	// those of PassEnv.
	Env     []string
	PassEnv []string
	// User is the person who started the run, or approved it: GITLAB_USER_LOGIN and so on.
	User User
	// Tools is a folder that comes first in the PATH of jobs.
	Tools string
	// Executor is "auto" (if empty): jobs that name an image run in containers, others on this machine; "shell": all run on this
	// machine; or "docker" or "podman".
	Executor string
	// NoSandbox lets jobs on this machine write wherever the user can, also where bubblewrap could prevent it. Writable are
	// folders that they can write to in any case.
	NoSandbox  bool
	Writable   []string
	Containers ContainerOptions
	// Hints are the program's advice to its user for messages with a code, such as which of its flags to set.
	Hints map[pipeline.Code]string
	// Terminal is where a person gets a shell: [Shell] needs it. ShellOnFailure opens one in jobs whose script has failed.
	Terminal       *Terminal
	ShellOnFailure bool
	// Deploy runs automatic jobs that deploy to environments of the tiers staging and production without asking; without it
	// they are treated as manual jobs.
	Deploy bool
	// GitLabRunner is the path of a gitlab-runner, GitLab's own, that executes the jobs instead of this package. Executor says with
	// which of its executors.
	GitLabRunner string
	// ContainerEngine is the path of docker or podman, if it is not the one in the PATH.
	ContainerEngine string
	// Supervisor is the command line of the present program that calls [supervise.Main] with the arguments after it.
	Supervisor []string
	// Jobs is how many jobs run in parallel; the number of CPUs if zero.
	Jobs int
	// Timeout is for jobs without one, 1 hour if zero; AfterScriptTimeout for after_script, 5 minutes if zero. Grace is
	// how long a canceled job may take to end after SIGTERM, 10 seconds if zero.
	Timeout, AfterScriptTimeout, Grace time.Duration
	// CommittedOnly runs the commit without uncommitted and untracked files.
	CommittedOnly bool
	// WholeHistory lets jobs have all commits, branches and tags, whatever GIT_DEPTH says. Without it they have what GitLab's runner fetches.
	WholeHistory bool
	// NoDelay starts delayed jobs immediately.
	NoDelay bool
	// Keep is how many runs stay on disk, beside those that wait for a person; 10 if zero.
	Keep int
	// Approve names manual jobs that run without asking.
	Approve []string
	// Inputs are values for the inputs of the jobs that [Resume] or [Retry] starts, by name.
	Inputs map[string]string
	// Named are the jobs that the user has named, or whose base name: they run without asking, even if they are manual.
	Named []string
	// Reuse takes the results of jobs that are not named from the latest run in which they passed, and runs only the others.
	Reuse bool
	// ChildPlan compiles a child pipeline whose configuration is an artifact, as [pipeline.Project.ChildPlan] does. Without it, the
	// jobs that start such pipelines fail.
	ChildPlan func(ctx context.Context, plan *pipeline.Plan, job *pipeline.Job, read pipeline.ArtifactReader) (*pipeline.TriggerSpec, error)
	// Confirm asks a person about a manual job that blocks the pipeline; if it is nil, the run stops there.
	Confirm func(context.Context, JobState) (bool, error)
	// ApproveHint is the command that a person is told to approve with; "slipway approve JOB" if empty.
	ApproveHint string
	// Observe is called with each update, in order; Output requests every line of the jobs' logs.
	Observe func(Update)
	Output  bool
	// Kill, when closed, kills canceled jobs immediately.
	Kill <-chan struct{}
}

// ContainerOptions are settings of docker and podman.
type ContainerOptions struct {
	// Image is for jobs that name none.
	Image string
	// PullPolicy is for images without `pull_policy`: always, if-not-present (if empty) or never.
	PullPolicy string
	// Volumes are mounts in the form of docker's --volume, Network an existing network; both are for jobs and services.
	Volumes []string
	Network string
	// Privileged gives containers full access to the machine, which docker-in-docker needs.
	Privileged bool
}

// A Terminal connects a shell to a person.
type Terminal = executor.Terminal

// A User is a person; empty fields set no variables.
type User struct{ Login, Name, Email string }

func (o Options) withDefaults() (Options, error) {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	set(&o.Timeout, time.Hour)
	set(&o.AfterScriptTimeout, 5*time.Minute)
	set(&o.Grace, 10*time.Second)
	if o.Jobs <= 0 {
		o.Jobs = runtime.NumCPU()
	}
	if o.Keep == 0 {
		o.Keep = 10
	}
	if o.TempDir == "" {
		o.TempDir = os.TempDir()
	}
	if len(o.Supervisor) == 0 {
		return o, errors.New("runner: Options.Supervisor is not set")
	}
	var err error
	o.CacheDir, err = CacheDir(o.CacheDir)
	return o, err
}

// ErrCacheFolder is in errors about a cache folder that is missing or cannot be written. [Options.CacheDir] names another.
var ErrCacheFolder = errors.New("no usable cache folder")

// ErrGitLabRunner is in the error about a gitlab-runner that is not found; see [Options.GitLabRunner].
var ErrGitLabRunner = errors.New("gitlab-runner is unavailable")

// ErrContainerEngine is in errors about a container engine that is missing or does not work; see [Options.Executor].
var ErrContainerEngine = executor.ErrEngine

// The codes of messages in the log of a job; see [Options.Hints].
const (
	// ServicesNotStarted: the job runs on this machine, where there are no services.
	ServicesNotStarted pipeline.Code = executor.ServicesNotStarted
	// ReadOnlyFolder: the job wrote to a folder that its sandbox protects.
	ReadOnlyFolder pipeline.Code = executor.ReadOnlyFolder
)

// CacheDir returns the absolute path of the given cache folder or, if it is empty, of slipway's own in the user's cache folder.
func CacheDir(given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w; set HOME or XDG_CACHE_HOME", ErrCacheFolder, err)
	}
	return filepath.Join(user, "slipway"), nil
}

// sourcesFolder is the snapshot in a run's folder.
const sourcesFolder = "sources.git"

// A run is one execution of a plan, in this process.
type run struct {
	options    Options
	project    string
	store      store
	workspace  workspace
	number     int
	definition definition
	state      runState
	graph      *graph
	nodes      []*node
	// slugs are the names of the jobs' folders.
	slugs    map[string]bool
	executor executor.Executor
	backend  backend
	// machine is the environment of programs that the run itself starts, such as git.
	machine []string
	slots   slots
	held    *filelock.Lock

	observing sync.Mutex
}

// Run executes a plan: every job that can start, until only manual jobs are left that are not approved. A failed job is
// not an error; see [Result]. Errors are caused by the machine or the options; each is one message that says what to do.
func Run(ctx context.Context, plan *pipeline.Plan, options Options) (Result, error) {
	begun := time.Now()
	r, err := newRun(ctx, options)
	if err != nil {
		return Result{}, err
	}
	if err := r.begin(ctx, plan); err != nil {
		return Result{}, err
	}
	defer r.held.Unlock()
	r.update(RunStarted, nil, r.title())
	return r.complete(ctx, begun)
}

// begin links the plan's jobs, marks the approved ones, and creates the run's folder.
func (r *run) begin(ctx context.Context, plan *pipeline.Plan) error {
	stored := *plan
	stored.Dropped, stored.Jobs = nil, slices.Clone(plan.Jobs)
	r.definition.Plan = &stored
	r.link()
	if err := r.approve(r.options.Approve); err != nil {
		return err
	}
	for _, name := range r.options.Named {
		for _, n := range r.graph.named(name) {
			n.approved = true
		}
	}
	if err := r.checkEngine(); err != nil {
		return err
	}
	return explain(r.create(ctx), r.options.CacheDir)
}

// newRun checks the requirements of the run before anything is written.
func newRun(ctx context.Context, options Options) (*run, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{options: options, slots: slots{free: options.Jobs}}
	r.machine = slices.Concat(withPath(machineEnvironment(options.Env), options.Tools), pick(options.Env, userVariables), pick(options.Env, options.PassEnv))
	if options.GitLabRunner != "" && options.Terminal != nil {
		return nil, errors.New("gitlab-runner opens no shell in a job")
	}
	if r.project, err = filepath.Abs(options.Dir); err != nil {
		return nil, err
	}
	if r.project, err = filepath.EvalSymlinks(r.project); err != nil {
		return nil, err
	}
	r.workspace = openWorkspace(options.CacheDir, r.project)
	if r.executor, err = executor.New(ctx, r.executorConfig()); err != nil {
		return nil, err
	}
	if options.Terminal != nil && options.ShellOnFailure {
		r.executor = executor.Interactive(r.executor, options.Terminal, false)
	}
	return r, nil
}

// create creates the run's folder, with the snapshot of the sources.
func (r *run) create(ctx context.Context) (err error) {
	if _, err := snapshot.Head(ctx, r.project, r.machine); err != nil {
		return err
	}
	if r.store, err = openStore(r.project); err != nil {
		return err
	}
	if err := r.store.prune(r.options.Keep - 1); err != nil {
		return err
	}
	r.sweep(ctx)
	if r.number, r.held, err = r.store.create(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.held.Unlock()
			_ = os.RemoveAll(r.store.run(r.number))
		}
	}()
	sources, err := snapshot.Take(ctx, r.project, filepath.Join(r.store.run(r.number), sourcesFolder),
		snapshot.Options{CommittedOnly: r.options.CommittedOnly, Env: r.machine})
	if err != nil {
		return err
	}
	r.definition = definition{
		Plan: r.definition.Plan, Sources: sources, Tools: r.options.Tools, Executor: r.options.Executor, PassEnv: r.options.PassEnv, Hint: r.options.ApproveHint,
		NoSandbox: r.options.NoSandbox, Writable: r.options.Writable, Containers: r.options.Containers,
		WholeHistory: r.options.WholeHistory, GitLabRunner: r.options.GitLabRunner,
	}
	for _, nested := range sources.Nested {
		r.update(Note, nil, nested+" is a separate repository and not a submodule: it is not part of the sources")
	}
	if err := r.define(); err != nil {
		return err
	}
	r.state = runState{Status: RunRunning, Started: time.Now()}
	if r.options.Reuse {
		if err := r.reuse(); err != nil {
			return err
		}
	}
	return r.save()
}

// define saves the definition of the run.
func (r *run) define() error {
	return writeJSON(filepath.Join(r.store.run(r.number), definitionFile), r.definition)
}

// sweep removes the files that killed runs of this project left.
func (r *run) sweep(ctx context.Context) {
	r.workspace.sweep()
	r.executor.Sweep(ctx, r.store.alive)
}

// link builds the graph of the jobs.
func (r *run) link() {
	r.slugs = map[string]bool{}
	r.graph = newGraph(r.definition.Plan, nil, "", r.slugs)
	r.nodes = r.graph.all()
}

// approve marks manual jobs as approved.
func (r *run) approve(names []string) error {
	for _, name := range names {
		found := r.named(name)
		if len(found) == 0 {
			return fmt.Errorf("there is no job %q to approve; manual jobs of this pipeline: %s", name, r.manualJobs())
		}
		for _, n := range found {
			if n.job.When != pipeline.Manual && !n.deploys() {
				return fmt.Errorf("%s is not a manual job; manual jobs of this pipeline: %s", name, r.manualJobs())
			}
			n.approved = true
		}
	}
	return nil
}

// named returns the job of a name, child pipelines included, or all instances of a parallel one by the name in the configuration.
func (r *run) named(name string) []*node {
	for _, n := range r.nodes {
		if n.state.Name == name {
			return []*node{n}
		}
	}
	return r.graph.named(name)
}

func (r *run) manualJobs() string {
	var names []string
	for _, n := range r.nodes {
		if n.job.When == pipeline.Manual || n.state.Held {
			names = append(names, n.state.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// complete executes what can be executed, and saves the state that the run has then.
func (r *run) complete(ctx context.Context, begun time.Time) (Result, error) {
	fatal := r.executeAll(ctx)
	status := r.status()
	switch {
	case ctx.Err() != nil && status != RunWaiting && status != RunSuccess:
		status = RunCanceled
	case fatal != nil:
		status = RunFailed
	}
	if err := r.finish(status); fatal == nil {
		fatal = err
	}
	// Files that a job kept for an attempt that did not follow.
	r.workspace.sweep()
	result := r.result(begun)
	r.update(RunFinished, nil, "", &result)
	return result, explain(fatal, r.options.CacheDir)
}

// executeAll starts the backend and executes what can be executed.
func (r *run) executeAll(ctx context.Context) (err error) {
	if r.backend, err = r.newBackend(ctx); err != nil {
		return err
	}
	return errors.Join(r.execute(ctx), r.backend.close())
}

// status returns the status of the pipeline if it stopped now.
func (r *run) status() RunStatus {
	status := RunSuccess
	for _, n := range r.nodes {
		own := n.graph.bridge == nil
		switch {
		case own && n.state.Status == Failed && !n.state.Allowed:
			return RunFailed
		case own && n.state.Status == Canceled:
			status = RunCanceled
		case n.state.Status == Manual && n.state.Blocking && status == RunSuccess:
			status = RunWaiting
		}
	}
	return status
}

func (r *run) finish(status RunStatus) error {
	r.state.Status, r.state.Finished = status, time.Now()
	return r.save()
}

// save writes the state of the run.
func (r *run) save() error {
	r.state.Jobs = r.state.Jobs[:0]
	for _, n := range r.nodes {
		r.state.Jobs = append(r.state.Jobs, *n.state)
	}
	return writeJSON(filepath.Join(r.store.run(r.number), stateFile), r.state)
}

func (r *run) result(begun time.Time) Result {
	return Result{
		Run: r.number, Status: r.state.Status, Dir: r.store.run(r.number), Jobs: slices.Clone(r.state.Jobs), Duration: time.Since(begun),
	}
}

// folder returns a job's folder in the run.
func (r *run) folder(slug string) string {
	return filepath.Join(r.store.run(r.number), jobsFolder, slug)
}

// title describes the run in one line.
func (r *run) title() string { return r.definition.title(len(r.nodes)) }

func (d definition) title(jobs int) string {
	e := d.Plan.Event
	ref := cmp.Or(e.Branch, e.Tag)
	if e.MergeRequestInfo != nil {
		ref = e.MergeRequestInfo.SourceBranch
	}
	commit := d.Sources.Commit[:8]
	if d.Sources.Changed {
		commit += " with uncommitted changes"
	}
	title := fmt.Sprintf("%s %s at %s, %s", e.Source, ref, commit, plural(jobs, "job"))
	if name := d.Plan.Name; name != "" {
		title = name + ": " + title
	}
	return title
}

// update informs the observer; a result comes with the last one.
func (r *run) update(kind Kind, n *node, message string, result ...*Result) {
	if r.options.Observe == nil {
		return
	}
	u := Update{Time: time.Now(), Kind: kind, Run: r.number, Message: message}
	if n != nil {
		state := *n.state
		u.Job, u.Log = &state, filepath.Join(r.folder(state.Slug), logFile)
	}
	if len(result) > 0 {
		u.Result = result[0]
	}
	r.observing.Lock()
	defer r.observing.Unlock()
	r.options.Observe(u)
}

// lines passes the lines of a job's log on if the observer requests them. It is called from the job's goroutine, so it only uses what does
// not change.
func (r *run) lines(n *node) func(string) {
	if !r.options.Output || r.options.Observe == nil {
		return nil
	}
	job := JobState{Name: n.state.Name, Slug: n.state.Slug, Stage: n.state.Stage, Status: Running}
	return func(line string) {
		r.observing.Lock()
		defer r.observing.Unlock()
		r.options.Observe(Update{Time: time.Now(), Kind: JobOutput, Run: r.number, Job: &job, Message: line})
	}
}
