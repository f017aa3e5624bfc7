package runner

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/coordinator"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/executor"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/supervise"
)

// A backend executes attempts of jobs.
type backend interface {
	// execute runs an attempt. It returns after all processes that the job started have ended.
	execute(ctx context.Context, a *attempt) outcome
	// close stops the backend.
	close() error
}

// ownBackend executes attempts itself.
type ownBackend struct{}

func (ownBackend) execute(ctx context.Context, a *attempt) outcome { return a.execute(ctx) }

func (ownBackend) close() error { return nil }

// newBackend starts the backend that executes the jobs of the run.
func (r *run) newBackend(ctx context.Context) (backend, error) {
	if r.options.GitLabRunner == "" {
		return ownBackend{}, nil
	}
	return r.startGitLabRunner(ctx)
}

// A gitlabRunner is GitLab's own runner as a process of this machine, with a coordinator that gives it jobs.
type gitlabRunner struct {
	run         *run
	coordinator *coordinator.Coordinator
	process     *supervise.Process
	// tokens are those of the two runners in the configuration, by executor.
	tokens map[string]string
	// dir is the working folder of the runner, temporary its TMPDIR.
	dir, temporary string
	// ended is closed when the process has ended.
	ended chan struct{}
	log   *os.File
}

// runnerLog is the log of the runner itself, in the run's folder.
const runnerLog = "gitlab-runner.log"

// startGitLabRunner starts the coordinator, and the runner with a configuration for it.
func (r *run) startGitLabRunner(ctx context.Context) (_ *gitlabRunner, err error) {
	g := &gitlabRunner{
		run: r, dir: filepath.Join(r.workspace.dir, "gitlab-runner", strconv.Itoa(r.number)), ended: make(chan struct{}),
		tokens: map[string]string{executor.Shell: coordinator.NewToken(), executor.Docker: coordinator.NewToken()},
	}
	for _, folder := range []string{g.dir, r.workspace.runnerCache()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
	}
	g.coordinator, err = coordinator.New(coordinator.Config{
		Repository: r.definition.Sources.Dir, GitEnv: r.machine, ProjectPath: cmp.Or(r.graph.predefined("CI_PROJECT_PATH"), "project"),
	})
	if err != nil {
		return nil, err
	}
	for _, token := range g.tokens {
		g.coordinator.AddRunner(token)
	}
	if err := g.start(ctx); err != nil {
		return nil, errors.Join(err, g.coordinator.Close(), g.remove())
	}
	go func() {
		defer close(g.ended)
		_, _, _ = g.process.Wait()
	}()
	return g, nil
}

// start starts the runner's process, in the environment and the sandbox of jobs on this machine.
func (g *gitlabRunner) start(ctx context.Context) error {
	r := g.run
	path, err := exec.LookPath(r.options.GitLabRunner)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGitLabRunner, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	if g.temporary, err = makeTemporary(r.options.TempDir, g.dir); err != nil {
		return err
	}
	config := r.executorConfig()
	config.Writable = append(config.Writable, r.workspace.runnerCache())
	environ, sandbox, err := executor.Machine(ctx, config, executor.Job{Root: g.dir, Temporary: g.temporary, Sources: r.definition.Sources.Dir})
	if err != nil {
		return err
	}
	configuration := filepath.Join(g.dir, "config.toml")
	if err := os.WriteFile(configuration, g.configuration(), 0o600); err != nil {
		return err
	}
	if g.log, err = os.OpenFile(filepath.Join(r.store.run(r.number), runnerLog), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return err
	}
	g.process, err = supervise.Start(supervise.Command{
		Supervisor: append(sandbox, r.options.Supervisor...), Args: []string{path, "run", "--config", configuration, "--working-directory", g.dir},
		Dir: g.dir, Env: withoutProxy(environ), Output: g.log, Grace: r.options.Grace,
	})
	return err
}

// withoutProxy lets programs that the runner starts reach the coordinator without a proxy.
func withoutProxy(environ []string) []string {
	changed := slices.Clone(environ)
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		value := "127.0.0.1,localhost"
		for _, entry := range environ {
			if given, found := strings.CutPrefix(entry, name+"="); found && given != "" {
				value += "," + given
			}
		}
		changed = append(changed, name+"="+value)
	}
	return changed
}

// configuration returns the runner's config.toml: one runner for jobs on this machine, one for those in containers.
func (g *gitlabRunner) configuration() []byte {
	r := g.run
	var b bytes.Buffer
	fmt.Fprintf(&b, "concurrent = %d\ncheck_interval = 1\nshutdown_timeout = %d\n", r.options.Jobs, int(r.options.Grace.Seconds()))
	for _, name := range []string{executor.Shell, executor.Docker} {
		fmt.Fprintf(&b, "\n[[runners]]\nname = \"slipway-%s\"\nurl = %q\ntoken = %q\nexecutor = %q\n", name, g.coordinator.URL(), g.tokens[name], name)
		fmt.Fprintf(&b, "request_concurrency = %d\n", r.options.Jobs)
		if name == executor.Shell {
			fmt.Fprintf(&b, "shell = \"bash\"\nbuilds_dir = %q\ncache_dir = %q\n", filepath.Join(g.dir, "builds"), r.workspace.runnerCache())
		}
		// Without timestamps in the log.
		fmt.Fprint(&b, "[runners.feature_flags]\nFF_TIMESTAMPS = false\n")
		if name == executor.Docker {
			g.dockerConfiguration(&b)
		}
	}
	return b.Bytes()
}

// dockerConfiguration returns the section of the docker executor. Its containers reach the coordinator on the network of this machine.
func (g *gitlabRunner) dockerConfiguration(b *bytes.Buffer) {
	c := g.run.options.Containers
	fmt.Fprintf(b, "[runners.docker]\nimage = %q\nprivileged = %t\nnetwork_mode = %q\n", cmp.Or(c.Image, "alpine"), c.Privileged, cmp.Or(c.Network, "host"))
	fmt.Fprintf(b, "pull_policy = [%q]\n", cmp.Or(c.PullPolicy, "if-not-present"))
	fmt.Fprintf(b, "volumes = [%q", "/cache")
	for _, volume := range c.Volumes {
		fmt.Fprintf(b, ", %q", volume)
	}
	fmt.Fprint(b, "]\n")
}

func (w workspace) runnerCache() string { return filepath.Join(w.dir, "gitlab-runner", "cache") }

func (g *gitlabRunner) close() error {
	// At SIGTERM the runner would wait for its jobs; there are none.
	g.process.Terminate()
	select {
	case <-g.ended:
	case <-time.After(g.run.options.Grace):
		g.process.Kill()
		<-g.ended
	case <-g.run.options.Kill:
		g.process.Kill()
		<-g.ended
	}
	_, err := g.process.End()
	return errors.Join(err, g.coordinator.Close(), g.log.Close(), g.remove())
}

// remove removes the folders in which the runner worked.
func (g *gitlabRunner) remove() error {
	err := filetree.Remove(g.dir)
	if g.temporary != "" {
		err = errors.Join(err, filetree.Remove(g.temporary))
	}
	return err
}

// execute lets the runner execute the attempt, and keeps what it uploads.
func (g *gitlabRunner) execute(ctx context.Context, a *attempt) (result outcome) {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	if err := a.openLog(func(err error) { abort(fmt.Errorf("write the log: %w", err)) }); err != nil {
		return a.broken(err)
	}
	a.setVariables(a.gitlabPredefined(), "")
	defer func() {
		_ = a.out.Flush()
		if err := a.log.Close(); err != nil && !result.fatal {
			result = a.broken(err)
		}
	}()
	if a.unmet != nil {
		return a.failed(a.unmet)
	}
	uploads := a.folder("uploads")
	defer func() { _ = filetree.Remove(uploads) }()
	job, err := g.job(ctx, a, uploads)
	if err != nil {
		return a.broken(err)
	}
	kept := &keptUploads{attempt: a}
	job.Accept = kept.keep
	executed, err := g.executeUntilEnded(ctx, job)
	if err != nil {
		return a.broken(err)
	}
	return a.stopped(ctx, kept.outcome(executed))
}

// executeUntilEnded waits for the runner to execute a job, or to end.
func (g *gitlabRunner) executeUntilEnded(ctx context.Context, job coordinator.Job) (coordinator.Result, error) {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	kill := make(chan struct{})
	job.Kill = kill
	go func() {
		select {
		case <-g.ended:
			cancel()
			close(kill)
		case <-g.run.options.Kill:
			close(kill)
		case <-waiting.Done():
		}
	}()
	result, err := g.coordinator.Execute(waiting, job)
	select {
	case <-g.ended:
		return result, fmt.Errorf("gitlab-runner has ended: see %s", g.log.Name())
	default:
		return result, err
	}
}
