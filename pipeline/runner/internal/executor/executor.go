// Package executor runs the scripts of jobs: as processes of this machine, or in containers of their images.
package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// The names of executors, for [Config.Name].
const (
	Auto   = "auto"
	Shell  = "shell"
	Docker = "docker"
	Podman = "podman"
)

// An Executor is a place in which jobs run.
type Executor interface {
	// Prepare readies what the scripts of a job need, such as images and services. After an error nothing is left behind.
	Prepare(ctx context.Context, job Job) (Session, error)
	// Sweep removes what killed runs of the project left; alive reports whether a run is in progress.
	Sweep(ctx context.Context, alive func(run int) bool)
}

// A Session is a job that is prepared. Its scripts run one after the other.
type Session interface {
	// Run runs a script and returns its exit code, -1 if a signal ended it. What the script leaves in the background goes on until
	// Cleanup. When the context ends, the script gets SIGTERM, and SIGKILL after [Config.Grace]. The error is of the machine, not of
	// the script.
	Run(ctx context.Context, script Script) (code int, err error)
	// Cleanup ends what scripts have left in the background, removes what Prepare made, and returns how many processes were left.
	Cleanup() (left int, err error)
}

// A Job is what an executor knows of a job. All texts have their variables expanded.
type Job struct {
	Name string
	// Run is the number of the run, ID the number of the job in it.
	Run, ID int
	// Image is the job's image; nil if it names none.
	Image    *Image
	Services []Image
	// Variables are the job's variables, which services get as well.
	Variables map[string]string
	// Root is a folder of the job's own, Project the checkout below it, Scripts a folder for the scripts; Temporary is the
	// job's TMPDIR, Sources the repository that the checkout borrows its objects from.
	Root, Project, Scripts, Temporary, Sources string
	// Logf writes a line to the job's log.
	Logf func(format string, args ...any)
}

// An Image is the image of a job or of a service.
type Image struct {
	Name       string
	Alias      string
	Entrypoint []string
	Command    []string
	PullPolicy []string
	// User and Platform are options of the container engine.
	User, Platform string
	// Variables are a service's own.
	Variables map[string]string
}

// A Script is the commands that one shell runs.
type Script struct {
	// Name names the script's file, and its container.
	Name string
	// Text is the script, for a POSIX shell; the executor puts before it what the shell needs.
	Text      string
	Variables map[string]string
	// Output gets what the script writes to standard output and error.
	Output io.Writer
	// Terminal, if it is not nil, makes Run open a shell for a person instead of running Text. It ends when the person leaves it,
	// not with the context.
	Terminal *Terminal
}

// A Terminal is where a person types.
type Terminal struct {
	In, Out *os.File
	// TTY says that it is a terminal indeed, not a pipe.
	TTY bool
}

// Config configures an executor.
type Config struct {
	// Name is the executor: [Auto] if empty.
	Name string
	// Engine is the path of docker or podman, if it is not the one in the PATH.
	Engine string
	// Project is the project's folder: containers of several projects differ by it.
	Project string
	// CallerEnv is the environment of the caller, for docker and podman; JobEnv the part of it for jobs on this machine, PassedEnv
	// the part that the user named.
	CallerEnv, JobEnv, PassedEnv []string
	// CacheHome is the XDG_CACHE_HOME of the project's jobs on this machine: the files that linters and package managers keep there make the
	// next run fast.
	CacheHome string
	// NoSandbox lets jobs on this machine write wherever the user can; Writable are folders that they can write to anyway.
	NoSandbox  bool
	Writable   []string
	Containers Containers
	// Supervisor is the command line that calls [supervise.Main].
	Supervisor []string
	// Grace is how long a script may take to end after SIGTERM. Kill, when closed, ends scripts immediately.
	Grace time.Duration
	Kill  <-chan struct{}
	// Hint returns what the program advises to do about a message with a code; empty if it has no advice.
	Hint func(code string) string
}

// The codes of messages in the log of a job.
const (
	ServicesNotStarted = "services_not_started"
	ReadOnlyFolder     = "read_only_folder"
)

// hint returns the program's advice in brackets.
func (c Config) hint(code string) string {
	if c.Hint == nil || c.Hint(code) == "" {
		return ""
	}
	return " (" + c.Hint(code) + ")"
}

// Containers are the settings of docker and podman.
type Containers struct {
	// Image is for jobs that name none.
	Image string
	// PullPolicy is for images without `pull_policy`: always, if-not-present or never.
	PullPolicy string
	// Volumes are mounts in the form of docker's --volume, Network an existing network; both are for jobs and services.
	Volumes []string
	Network string
	// Privileged gives containers full access to the machine, which docker-in-docker needs.
	Privileged bool
}

// Validate returns an error for invalid settings.
func (c Containers) Validate() error {
	switch c.PullPolicy {
	case "", "always", "if-not-present", "never":
		return nil
	}
	return fmt.Errorf("there is no pull policy %q: always, if-not-present or never", c.PullPolicy)
}

// ErrNoEngine is the error of jobs that need a container engine if there is none.
var ErrNoEngine = errors.New("neither docker nor podman works here")

// RunsOnMachine reports whether a job runs as processes of this machine, without its services, and without its image if it names
// one.
func (c Config) RunsOnMachine(hasImage bool) bool {
	switch c.Name {
	case Shell:
		return true
	case Auto, "":
		return !hasImage
	}
	return false
}

// HasEngine reports whether an executor can run jobs that name an image.
func HasEngine(e Executor) bool {
	if i, isInteractive := e.(*interactive); isInteractive {
		e = i.Executor
	}
	a, isAutomatic := e.(*automatic)
	return !isAutomatic || a.containers() != nil
}

// New returns the executor that the configuration names.
func New(ctx context.Context, c Config) (Executor, error) {
	if err := c.Containers.Validate(); err != nil {
		return nil, err
	}
	switch c.Name {
	case Shell:
		return newShell(c)
	case Docker, Podman:
		return newContainers(ctx, c, c.Name)
	case Auto, "":
		machine, err := newShell(c)
		if err != nil {
			return nil, err
		}
		a := &automatic{machine: machine}
		a.containers = sync.OnceValue(func() *containers { return a.find(ctx, c) })
		return a, nil
	}
	return nil, fmt.Errorf("there is no executor %q: shell, docker, podman or auto", c.Name)
}

// automatic runs jobs that name an image in containers, and others as processes of this machine. Container engines take a fraction of a
// second to respond, so the first job with an image looks for one.
type automatic struct {
	machine *shell
	// containers returns nil if no container engine works.
	containers func() *containers
	// sweep removes the containers and networks of killed runs.
	sweep func(*containers)
}

// find returns the first container engine that works, after it has removed the containers of killed runs.
func (a *automatic) find(ctx context.Context, c Config) *containers {
	for _, engine := range []string{Docker, Podman} {
		if found, err := newContainers(ctx, c, engine); err == nil {
			if a.sweep != nil {
				a.sweep(found)
			}
			return found
		}
	}
	return nil
}

func (a *automatic) Prepare(ctx context.Context, job Job) (Session, error) {
	if job.Image == nil {
		return a.machine.Prepare(ctx, job)
	}
	containers := a.containers()
	if containers == nil {
		return nil, fmt.Errorf("image %s: %w", job.Image.Name, ErrNoEngine)
	}
	return containers.Prepare(ctx, job)
}

// Sweep implements [Executor] when the run's first job with an image starts.
func (a *automatic) Sweep(ctx context.Context, alive func(run int) bool) {
	a.sweep = func(c *containers) { c.Sweep(ctx, alive) }
}
