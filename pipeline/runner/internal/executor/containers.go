package executor

import (
	"bytes"
	"cmp"
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
)

// containers runs every script of a job in a container of the job's image, and its services beside it, with docker or
// podman. The job's folder is mounted at its own path, so that CI_PROJECT_DIR is the same inside and outside.
type containers struct {
	config Config
	// engine is the path of docker or podman, podman which of them it is.
	engine string
	podman bool
}

// engineTimeout bounds commands of the engine that should be quick, such as inspect and rm.
const engineTimeout = 30 * time.Second

// ErrEngine is wrapped by errors of a container engine that is missing or does not work.
var ErrEngine = errors.New("no container engine")

func newContainers(ctx context.Context, config Config, engine string) (*containers, error) {
	path := config.Engine
	if path == "" {
		path = engine
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not installed: install it", ErrEngine, engine)
	}
	c := &containers{config: config, engine: path, podman: engine == Podman}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	if _, err := c.run(ctx, "version"); err != nil {
		return nil, fmt.Errorf("%w: %s does not work here: %w; start it", ErrEngine, engine, err)
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
		return nil, errors.New("the job names no image, and a container needs one: give it `image`, or run it on this machine")
	}
	s := &containerSession{containers: c, job: job}
	defer func() {
		if err != nil {
			_, _ = s.Cleanup()
		}
	}()
	// Images have other users: as on GitLab, they may read and write the job's files.
	if err := open(job.Root); err != nil {
		return nil, err
	}
	if err := s.pull(ctx, *job.Image); err != nil {
		return nil, err
	}
	if s.behindRoot(ctx) {
		s.home = filepath.Join(job.Root, ".root") // not a tmpfs: runc gives that the mode of the folder below it
		if err := os.MkdirAll(s.home, 0o700); err != nil {
			return nil, err
		}
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
	for _, kind := range []struct {
		list   []string
		remove func(name string)
	}{
		{[]string{"ps", "--all", "--format", "{{.Names}}"}, func(name string) { c.remove(ctx, name) }},
		{[]string{"network", "ls", "--format", "{{.Name}}"}, func(name string) { _, _ = c.run(ctx, "network", "rm", name) }},
	} {
		found, err := c.run(ctx, append(kind.list, "--filter", "name="+names)...)
		if err != nil {
			continue
		}
		for line := range strings.Lines(found) {
			name := strings.TrimSpace(line)
			number, _, _ := strings.Cut(strings.TrimPrefix(name, names), "-")
			if run, err := strconv.Atoi(number); err == nil && !alive(run) {
				kind.remove(name)
			}
		}
	}
}

// A containerSession is the containers and the network of one job.
type containerSession struct {
	*containers
	job       Job
	processes processes
	// home takes the place of root's home in the job's container; empty if it has the image's.
	home string
}

// name returns the name of the job's container or network: unique on the machine, also for projects that run at the same time. It
// contains the run, so that Sweep finds the containers of killed runs.
func (s *containerSession) name(part string) string {
	return fmt.Sprintf("%s%d-%d-%s", s.prefix(), s.job.Run, s.job.ID, strings.ReplaceAll(part, "_", "-"))
}

func (s *containerSession) service(i int) string { return s.name(fmt.Sprintf("service-%d", i)) }

// pull pulls an image, by its `pull_policy`, or if it is missing.
func (s *containerSession) pull(ctx context.Context, image Image) error {
	policy := cmp.Or(s.config.Containers.PullPolicy, "if-not-present")
	if len(image.PullPolicy) > 0 {
		policy = image.PullPolicy[0]
	}
	if policy != "always" {
		if _, err := s.run(ctx, "image", "inspect", image.Name); err == nil {
			return nil
		}
		if policy == "never" {
			return fmt.Errorf("image %s is not on this machine, and the pull policy is never", image.Name)
		}
	}
	s.job.Logf("Pulling %s", image.Name)
	name := image.Name
	if s.podman {
		name = qualified(name)
	}
	pull := []string{"pull", "--quiet"}
	if image.Platform != "" {
		pull = append(pull, "--platform", image.Platform)
	}
	if _, err := s.run(ctx, append(pull, name)...); err != nil {
		return fmt.Errorf("pull image %s: %w", image.Name, err)
	}
	return nil
}

// qualified returns the name of an image with its registry, by default Docker Hub, which podman does not assume.
func qualified(name string) string {
	first, _, hasPath := strings.Cut(name, "/")
	switch {
	case !hasPath:
		return "docker.io/library/" + name
	case strings.ContainsAny(first, ".:") || first == "localhost":
		return name
	default:
		return "docker.io/" + name
	}
}

// args returns the end of a command line of `run`: the image's options, its name, and what runs in it.
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

// findShell runs a script in bash or, if the image has none, in sh. The first process of a container ignores SIGTERM by default; it passes it
// on to all others. When it ends, all other processes of the container end, too.
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
func (s *containerSession) Run(ctx context.Context, script Script) (code int, err error) {
	variables := maps.Clone(script.Variables)
	// The checkout belongs to a user that the image does not know; on GitLab it belongs to the job's. Other folders are not exempt.
	variables["GIT_CONFIG_COUNT"] = "2"
	variables["GIT_CONFIG_KEY_0"], variables["GIT_CONFIG_VALUE_0"] = "safe.directory", s.job.Project
	variables["GIT_CONFIG_KEY_1"], variables["GIT_CONFIG_VALUE_1"] = "safe.directory", s.job.Project+"/*"
	text := shPrologue + exports(variables) + script.Text
	if script.Terminal != nil {
		text = exports(variables) + "export PS1=" + Quote(s.job.prompt()) + "\nif command -v bash >/dev/null; then exec bash --noprofile --norc; fi\nexec sh\n"
	}
	path, err := s.job.writeScript(script.Name, text)
	if err != nil {
		return 0, err
	}
	if err := open(s.job.Root); err != nil {
		return 0, err
	}
	args := []string{
		s.engine, "run", "--rm", "--name", s.name(script.Name), "--workdir", s.job.Project,
		"--volume", s.job.Root + ":" + s.job.Root, "--volume", s.job.Sources + ":" + s.job.Sources + ":ro",
	}
	args = append(args, s.settings()...)
	if s.home != "" {
		args = append(args, "--volume", s.home+":"+rootHome)
	}
	if script.Terminal != nil {
		args = append(args, "--interactive")
		if script.Terminal.TTY {
			args = append(args, "--tty")
		}
		args = append(args, s.job.Image.args("sh", path)...)
		return 0, script.Terminal.run(ctx, args, s.job.Project, s.config.CallerEnv)
	}
	args = append(args, s.job.Image.args("sh", "-c", findShell, path)...)
	return s.processes.run(ctx, s.config, s.job, args, s.config.CallerEnv, script.Output)
}

// rootHome is closed to all other users in most images.
const rootHome = "/root"

// behindRoot reports whether the job's files are in root's home, as those of a run by root are, and the image's user is another one. That user could
// not reach them in the image's folder of that name, nor anything else in it.
func (s *containerSession) behindRoot(ctx context.Context) bool {
	below := func(path string) bool { return strings.HasPrefix(path, rootHome+"/") }
	if !below(s.job.Root) && !below(s.job.Sources) {
		return false
	}
	user := s.job.Image.User
	if user == "" {
		// Without an answer it is root, as in most images.
		user, _ = s.run(ctx, "image", "inspect", "--format", "{{.Config.User}}", s.job.Image.Name)
	}
	name, _, _ := strings.Cut(user, ":")
	return name != "" && name != "root" && name != "0"
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
func (s *containerSession) Cleanup() (left int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	names := []string{s.name("script"), s.name("after_script"), s.name("shell")}
	for i := range s.job.Services {
		names = append(names, s.service(i), s.waiter(i))
	}
	s.remove(ctx, names...)
	if s.ownNetwork() {
		_, _ = s.run(ctx, "network", "rm", s.name("network"))
	}
	uid := os.Getuid()
	switch {
	case uid == 0:
	case s.podman:
		// In rootless podman, files of the image's users belong to subordinate ids of the user.
		_, _ = s.run(ctx, "unshare", "chown", "-R", "0:0", s.job.Root)
	default:
		owner := fmt.Sprintf("%d:%d", uid, os.Getgid())
		_, _ = s.run(ctx, "run", "--rm", "--user", "0", "--volume", s.job.Root+":"+s.job.Root, "--entrypoint", "chown",
			s.job.Image.Name, "-R", owner, s.job.Root)
	}
	return s.processes.end()
}

// remove removes containers immediately: docker kills what it removes by force, podman first waits ten seconds. Containers that do
// not exist are not an error; what cannot be removed is found by the next run.
func (c *containers) remove(ctx context.Context, names ...string) {
	args := []string{"rm", "--force", "--volumes"}
	if c.podman {
		args = append(args, "--time", "0", "--ignore")
	}
	_, _ = c.run(ctx, append(args, names...)...)
}

// settings are the options of `run` that hold for the job and its services.
func (s *containerSession) settings() []string {
	var args []string
	for _, volume := range s.config.Containers.Volumes {
		args = append(args, "--volume", volume)
	}
	if s.config.Containers.Privileged {
		args = append(args, "--privileged")
	}
	if network := s.network(); network != "" {
		args = append(args, "--network", network)
	}
	return args
}

// network is the network of the job and its services: the one of the settings, or one of the job's own if it has services.
func (s *containerSession) network() string {
	if s.ownNetwork() {
		return s.name("network")
	}
	return s.config.Containers.Network
}

func (s *containerSession) ownNetwork() bool {
	return s.config.Containers.Network == "" && len(s.job.Services) > 0
}
