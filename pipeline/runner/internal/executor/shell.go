package executor

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// shell runs jobs as processes of this machine. Each job has a separate HOME, but shares the user's Go caches and
// toolchains. With bubblewrap the rest of the disk is read-only.
type shell struct {
	config Config
	bash   string
	// once inspects the machine when the first job needs it.
	once    sync.Once
	shared  []string
	sandbox sandbox
}

func newShell(c Config) (*shell, error) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		return nil, errors.New("bash is not installed: jobs run in it (Debian, Ubuntu: apt-get install bash)")
	}
	return &shell{config: c, bash: bash}, nil
}

func (s *shell) Prepare(ctx context.Context, job Job) (Session, error) {
	if job.Image != nil {
		job.Logf("Running on this machine, not in the image %s", job.Image.Name)
	}
	for _, service := range job.Services {
		job.Logf("The service %s is not started: services need containers%s", service.Name, s.config.hint(ServicesNotStarted))
	}
	environ, sandbox, err := s.machine(ctx, job)
	if err != nil {
		return nil, err
	}
	return &shellSession{shell: s, job: job, environ: environ, sandbox: sandbox}, nil
}

// machine returns the environment and the sandbox of a job's processes on this machine.
func (s *shell) machine(ctx context.Context, job Job) (environ []string, box sandbox, err error) {
	s.once.Do(func() {
		ctx := context.WithoutCancel(ctx)
		var caches []string
		s.shared, caches = machineFolders(ctx, s.config.CallerEnv)
		if !s.config.NoSandbox {
			s.sandbox = newSandbox(ctx, append(caches, s.config.Writable...))
		}
	})
	folders, err := job.prepareHome(s.config.CacheHome, s.shared)
	if err != nil {
		return nil, nil, err
	}
	// If a variable is set twice, the last one wins: those that the user passes on by name override the job's own folders.
	environ = slices.Concat(s.config.JobEnv, folders, s.config.PassedEnv)
	return environ, s.sandbox.job(job, s.config.CacheHome, lookup(s.config.CallerEnv, "HOME")), nil
}

// Machine returns the environment and the sandbox, a command line that may be empty, in which another program can run jobs as
// processes of this machine. Only the folders of the job are used.
func Machine(ctx context.Context, c Config, job Job) (environ, sandbox []string, err error) {
	s, err := newShell(c)
	if err != nil {
		return nil, nil, err
	}
	return s.machine(ctx, job)
}

func (s *shell) Sweep(context.Context, func(int) bool) {}

type shellSession struct {
	*shell
	job       Job
	environ   []string
	sandbox   sandbox
	processes processes
}

func (s *shellSession) Run(ctx context.Context, script Script) (code int, err error) {
	path, err := s.job.writeScript(script.Name, bashPrologue+script.Text)
	if err != nil {
		return 0, err
	}
	// As GitLab's runner does for its shell executor: scripts can tell a shared machine from a container.
	environ := append(slices.Clone(s.environ), "CI_SHARED_ENVIRONMENT=true")
	for key, value := range script.Variables {
		environ = append(environ, key+"="+value)
	}
	if script.Terminal != nil {
		return 0, script.Terminal.run(ctx, slices.Concat(s.sandbox, []string{s.bash, "--noprofile", "--norc"}), s.job.Project,
			lastWins(append(environ, "PS1="+s.job.prompt())))
	}
	config := s.config
	// The sandbox is around the supervisor, so that signals for the script's processes do not reach bubblewrap.
	config.Supervisor = slices.Concat(s.sandbox, config.Supervisor)
	output := &readOnlyDetector{Writer: script.Output}
	// The script is bash's standard input, so that its messages begin with "bash:", as with GitLab's runner.
	args := []string{s.bash, "-c", `exec -a bash "$0" --noprofile --norc <"$1"`, s.bash, path}
	code, err = s.processes.run(ctx, config, s.job, args, lastWins(environ), output)
	if code != 0 && output.seen && len(s.sandbox) > 0 {
		s.job.Logf("The job ran in a sandbox, in which only these folders are writable: %s%s", s.sandbox.folders(), s.config.hint(ReadOnlyFolder))
	}
	return code, err
}

func (s *shellSession) Cleanup() (left int, err error) { return s.processes.end() }

// lastWins drops all but the last setting of each variable.
func lastWins(environ []string) []string {
	seen := map[string]bool{}
	kept := make([]string, 0, len(environ))
	for _, entry := range slices.Backward(environ) {
		name, _, _ := strings.Cut(entry, "=")
		if !seen[name] {
			seen[name] = true
			kept = append(kept, entry)
		}
	}
	slices.Reverse(kept)
	return kept
}
