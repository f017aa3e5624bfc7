package executor

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/supervise"
)

// shell runs jobs as processes of this machine.
type shell struct {
	config Config
	bash   string
}

func newShell(c Config) (*shell, error) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		return nil, errors.New("bash is not installed: jobs run in it (Debian, Ubuntu: apt-get install bash)")
	}
	return &shell{config: c, bash: bash}, nil
}

func (s *shell) Prepare(_ context.Context, job Job) (Session, error) {
	if job.Image != nil {
		job.Logf("Running on this machine, not in the image %s", job.Image.Name)
	}
	for _, service := range job.Services {
		job.Logf("The service %s is not started: services need containers (--executor docker or podman)", service.Name)
	}
	return &shellSession{shell: s, job: job}, nil
}

func (s *shell) Sweep(context.Context, func(int) bool) {}

type shellSession struct {
	*shell
	job Job
}

func (s *shellSession) Run(ctx context.Context, script Script) (supervise.Exit, error) {
	path, err := s.job.writeScript(script.Name, bashPrologue+script.Text)
	if err != nil {
		return supervise.Exit{}, err
	}
	// As GitLab's runner does for its shell executor: scripts can tell a machine that other jobs use, too, from a container.
	environ := append(slices.Clone(s.config.JobEnv), "TMPDIR="+s.job.Temporary, "CI_SHARED_ENVIRONMENT=true")
	for key, value := range script.Variables {
		environ = append(environ, key+"="+value)
	}
	// A variable that is set twice is the machine's and the job's: the job's holds.
	return s.config.process(ctx, []string{s.bash, "--noprofile", "--norc", path}, s.job.Project, lastWins(environ), script.Output)
}

func (s *shellSession) Cleanup() {}

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
