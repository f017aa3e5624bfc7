package executor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/supervise"
)

// containers runs every script of a job in a container of the job's image, and its services beside it, with docker or
// podman. The job's folder is mounted at its own path, so that CI_PROJECT_DIR is the same inside and outside.
type containers struct {
	config Config
	// engine is the path of docker or podman.
	engine string
}

// engineTimeout bounds commands of the engine that should be quick, such as inspect and rm.
const engineTimeout = 30 * time.Second

func newContainers(ctx context.Context, config Config, engine string) (*containers, error) {
	path := config.Engine
	if path == "" {
		path = engine
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return nil, fmt.Errorf("%s is not installed: install it, or run jobs on this machine with --executor shell", engine)
	}
	c := &containers{config: config, engine: path}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	if _, err := c.run(ctx, "version"); err != nil {
		return nil, fmt.Errorf("%s does not work here: %w; start it, or run jobs on this machine with --executor shell", engine, err)
	}
	return c, nil
}

// run runs the engine and returns what it printed; the last line of its standard error is the error.
func (c *containers) run(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, c.engine, args...)
	command.Env = c.config.CallerEnv
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		if words := strings.TrimSpace(stderr.String()); words != "" {
			return "", errors.New(words[strings.LastIndexByte(words, '\n')+1:])
		}
		return "", fmt.Errorf("%s %s: %w", filepath.Base(c.engine), args[0], err)
	}
	return strings.TrimSpace(stdout.String()), nil
}

// prefix begins the names of all containers and networks of the project.
func (c *containers) prefix() string {
	sum := sha256.Sum256([]byte(c.config.Project))
	return "slipway-" + hex.EncodeToString(sum[:6]) + "-"
}

// Prepare pulls the images and starts the services.
func (c *containers) Prepare(ctx context.Context, job Job) (_ Session, err error) {
	if job.Image == nil {
		return nil, errors.New("the job names no image, and a container needs one: give it `image`, or use --executor auto or shell")
	}
	s := &containerSession{containers: c, job: job}
	defer func() {
		if err != nil {
			s.Cleanup()
		}
	}()
	// Users of images are not ours: as on GitLab, they may read and write the job's files.
	if err := open(job.Root); err != nil {
		return nil, err
	}
	if err := s.pull(ctx, *job.Image); err != nil {
		return nil, err
	}
	if err := s.startServices(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Sweep removes the containers and networks of runs that were killed.
func (c *containers) Sweep(ctx context.Context, alive func(run int) bool) {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	names := c.prefix()
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "--all", "--format", "{{.Names}}"}, []string{"rm", "--force", "--volumes"}},
		{[]string{"network", "ls", "--format", "{{.Name}}"}, []string{"network", "rm"}},
	} {
		found, err := c.run(ctx, append(kind.list, "--filter", "name="+names)...)
		if err != nil {
			continue
		}
		for line := range strings.Lines(found) {
			name := strings.TrimSpace(line)
			number, _, _ := strings.Cut(strings.TrimPrefix(name, names), "-")
			if run, err := strconv.Atoi(number); err == nil && !alive(run) {
				_, _ = c.run(ctx, append(kind.remove, name)...)
			}
		}
	}
}

// A containerSession is the containers and the network of one job.
type containerSession struct {
	*containers
	job Job
}

// name is the name of the job's container or network: unique on the machine, also for projects that run at the same time. It
// names the run, so that Sweep finds what a killed one left.
func (s *containerSession) name(part string) string {
	return fmt.Sprintf("%s%d-%d-%s", s.prefix(), s.job.Run, s.job.ID, strings.ReplaceAll(part, "_", "-"))
}

func (s *containerSession) service(i int) string { return s.name(fmt.Sprintf("service-%d", i)) }

func (s *containerSession) startServices(ctx context.Context) error {
	if len(s.job.Services) == 0 {
		return nil
	}
	if _, err := s.run(ctx, "network", "create", s.name("network")); err != nil {
		return fmt.Errorf("network for the services: %w", err)
	}
	for i, service := range s.job.Services {
		if err := s.pull(ctx, service); err != nil {
			return err
		}
		args := []string{"run", "--detach", "--name", s.service(i), "--network", s.name("network")}
		for _, alias := range aliases(service.Name, service.Alias) {
			args = append(args, "--network-alias", alias)
		}
		variables := maps.Clone(s.job.Variables)
		maps.Copy(variables, service.Variables)
		file := filepath.Join(s.job.Scripts, fmt.Sprintf("service-%d.env", i))
		if err := os.WriteFile(file, []byte(environmentFile(variables)), 0o600); err != nil {
			return err
		}
		args = append(args, "--env-file", file)
		if _, err := s.run(ctx, append(args, service.args(service.Command...)...)...); err != nil {
			return fmt.Errorf("service %s: %w", service.Name, err)
		}
		s.job.Logf("Service %s", service.Name)
	}
	return nil
}

// environmentFile is what --env-file reads; it has no form for values with line breaks.
func environmentFile(variables map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(variables)) {
		if !strings.ContainsAny(variables[key], "\r\n") {
			fmt.Fprintf(&b, "%s=%s\n", key, variables[key])
		}
	}
	return b.String()
}

// pull pulls an image, by its `pull_policy`, or if it is missing.
func (s *containerSession) pull(ctx context.Context, image Image) error {
	policy := "if-not-present"
	if len(image.PullPolicy) > 0 {
		policy = image.PullPolicy[0]
	}
	if policy != "always" {
		if _, err := s.run(ctx, "image", "inspect", image.Name); err == nil {
			return nil
		}
		if policy == "never" {
			return fmt.Errorf("image %s is not on this machine, and its pull_policy is never", image.Name)
		}
	}
	s.job.Logf("Pulling %s", image.Name)
	if _, err := s.run(ctx, "pull", "--quiet", image.Name); err != nil {
		return fmt.Errorf("pull image %s: %w", image.Name, err)
	}
	return nil
}

// aliases are the host names of a service: of its image without tag, with / as "__" and as "-", and the given ones.
func aliases(name, given string) []string {
	name, _, _ = strings.Cut(name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	// A port in the registry's name cannot be in a host name.
	if host, rest, found := strings.Cut(name, "/"); found {
		host, _, _ = strings.Cut(host, ":")
		name = host + "/" + rest
	}
	all := []string{strings.ReplaceAll(name, "/", "__"), strings.ReplaceAll(name, "/", "-")}
	all = append(all, strings.FieldsFunc(given, func(r rune) bool { return r == ',' || r == ' ' })...)
	slices.Sort(all)
	return slices.Compact(all)
}

// args is the end of a command line of `run`: the image's options, its name, and what runs in it.
func (i Image) args(command ...string) []string {
	var args []string
	if i.Platform != "" {
		args = append(args, "--platform", i.Platform)
	}
	if i.User != "" {
		args = append(args, "--user", i.User)
	}
	if len(i.Entrypoint) > 0 {
		args = append(args, "--entrypoint", i.Entrypoint[0])
		command = append(slices.Clone(i.Entrypoint[1:]), command...)
	}
	return append(append(args, i.Name), command...)
}

// findShell runs a script in bash, or where an image has none, in sh. As the first process of a container it would be deaf to
// SIGTERM; it passes it on to all others. When it ends, so does everything else in the container.
const findShell = `shell=sh
if command -v bash >/dev/null; then shell=bash; fi
$shell "$0" &
script=$!
trap 'if [ $$ = 1 ]; then kill -TERM -1; else kill -TERM $script; fi' TERM
wait $script
code=$?
while kill -0 $script 2>/dev/null; do
  wait $script
  code=$?
done
exit $code`

// Run runs a script in a container. The script sets its variables itself: on the engine's command line or in its environment
// others would see them, and they could be meant for a docker inside of the container.
func (s *containerSession) Run(ctx context.Context, script Script) (supervise.Exit, error) {
	variables := maps.Clone(script.Variables)
	// The files belong to a user that the image does not know.
	variables["GIT_CONFIG_COUNT"], variables["GIT_CONFIG_KEY_0"], variables["GIT_CONFIG_VALUE_0"] = "1", "safe.directory", "*"
	path, err := s.job.writeScript(script.Name, shPrologue+exports(variables)+script.Text)
	if err != nil {
		return supervise.Exit{}, err
	}
	if err := open(s.job.Root); err != nil {
		return supervise.Exit{}, err
	}
	args := []string{
		s.engine, "run", "--rm", "--name", s.name(script.Name), "--workdir", s.job.Project,
		"--volume", s.job.Root + ":" + s.job.Root, "--volume", s.job.Sources + ":" + s.job.Sources + ":ro",
	}
	if len(s.job.Services) > 0 {
		args = append(args, "--network", s.name("network"))
	}
	args = append(args, s.job.Image.args("sh", "-c", findShell, path)...)
	return s.config.process(ctx, args, s.job.Project, s.config.CallerEnv, script.Output)
}

// open lets every user read and write what is below a folder.
func open(root string) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o666
		if e.IsDir() || mode&0o111 != 0 {
			mode |= 0o111
		}
		if mode == info.Mode().Perm() {
			return nil
		}
		if err := os.Chmod(path, mode); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil
	})
}

// Cleanup removes the job's containers, and makes the user the owner of the job's files again.
func (s *containerSession) Cleanup() {
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	names := []string{s.name("script"), s.name("after_script")}
	for i := range s.job.Services {
		names = append(names, s.service(i))
	}
	// What is not there needs no removal; what cannot be removed is found by the next run.
	for _, name := range names {
		_, _ = s.run(ctx, "rm", "--force", "--volumes", name)
	}
	if len(s.job.Services) > 0 {
		_, _ = s.run(ctx, "network", "rm", s.name("network"))
	}
	if uid := os.Getuid(); uid != 0 && filepath.Base(s.engine) == Docker {
		owner := fmt.Sprintf("%d:%d", uid, os.Getgid())
		_, _ = s.run(ctx, "run", "--rm", "--user", "0", "--volume", s.job.Root+":"+s.job.Root, "--entrypoint", "chown",
			s.job.Image.Name, "-R", owner, s.job.Root)
	}
}
