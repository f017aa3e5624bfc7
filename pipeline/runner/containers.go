package runner

import (
	"bytes"
	"context"
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

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// containers runs every script of a job in a container of the job's image, and its services beside it, with docker or
// podman. The job's folder is mounted at its own path, so that CI_PROJECT_DIR is the same inside and outside.
type containers struct {
	// engine is the path of docker or podman.
	engine  string
	environ []string
}

// engineTimeout bounds what must be quick: asking, removing.
const engineTimeout = 30 * time.Second

func newContainers(ctx context.Context, engine, path string, environ []string) (*containers, error) {
	path, err := exec.LookPath(orElse(path, engine))
	if err != nil {
		return nil, fmt.Errorf("%s is not installed: install it, or run jobs on this machine with --executor shell", engine)
	}
	c := &containers{engine: path, environ: environ}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	if _, err := c.run(ctx, "version"); err != nil {
		return nil, fmt.Errorf("%s does not work here: %w; start it, or run jobs on this machine with --executor shell", engine, err)
	}
	return c, nil
}

// run runs the engine and gives what it printed; its last words are the error.
func (c *containers) run(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, c.engine, args...)
	command.Env = c.environ
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

// name is the name of a job's container or network: unique on the machine, also for projects that run at once. The run
// can be told from it, so that what a killed one left is found.
func (c *containers) name(a *attempt, part string) string {
	return fmt.Sprintf("%s%d-%d-%s", prefix(a.run.project), a.run.number, a.id, strings.ReplaceAll(part, "_", "-"))
}

func prefix(project string) string { return "slipway-" + shortHash(project) + "-" }

// start gets the images and starts the services.
func (c *containers) start(ctx context.Context, a *attempt) error {
	job := a.node.job
	if job.Image == nil {
		return errors.New("the job names no image, and a container takes one: give it `image`, or use --executor auto or shell")
	}
	// Users of images are not ours: as on GitLab, they may read and write the job's files.
	if err := open(a.build.root); err != nil {
		return err
	}
	if err := c.pull(ctx, a, *job.Image); err != nil {
		return err
	}
	if len(job.Services) == 0 {
		return nil
	}
	if _, err := c.run(ctx, "network", "create", c.name(a, "network")); err != nil {
		return fmt.Errorf("network for the services: %w", err)
	}
	for i, service := range job.Services {
		if err := c.pull(ctx, a, service); err != nil {
			return err
		}
		args := []string{"run", "--detach", "--name", c.name(a, fmt.Sprintf("service-%d", i)), "--network", c.name(a, "network")}
		for _, alias := range aliases(a.env.expand(service.Name), service.Alias) {
			args = append(args, "--network-alias", alias)
		}
		variables := maps.Clone(a.env.variables)
		for _, v := range service.Variables {
			variables[v.Key] = a.env.expand(v.Value)
		}
		file := filepath.Join(a.build.temporaryProject(), fmt.Sprintf("service-%d.env", i))
		if err := os.WriteFile(file, []byte(environmentFile(variables)), 0o600); err != nil {
			return err
		}
		args = append(args, "--env-file", file)
		if _, err := c.run(ctx, append(args, image(a, service, a.env.expandAll(service.Command)...)...)...); err != nil {
			return fmt.Errorf("service %s: %w", service.Name, err)
		}
		a.logf("Service %s", a.env.expand(service.Name))
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

// pull gets an image, by its `pull_policy`, or if it is not there.
func (c *containers) pull(ctx context.Context, a *attempt, spec pipeline.Image) error {
	name := a.env.expand(spec.Name)
	policy := "if-not-present"
	if len(spec.PullPolicy) > 0 {
		policy = spec.PullPolicy[0]
	}
	if policy != "always" {
		if _, err := c.run(ctx, "image", "inspect", name); err == nil {
			return nil
		}
		if policy == "never" {
			return fmt.Errorf("image %s is not on this machine, and its pull_policy is never", name)
		}
	}
	a.logf("Pulling %s", name)
	if _, err := c.run(ctx, "pull", "--quiet", name); err != nil {
		return fmt.Errorf("pull image %s: %w", name, err)
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

// image is the part of a command line that begins with the image: its options, its name, what runs in it.
func image(a *attempt, spec pipeline.Image, command ...string) []string {
	var args []string
	if options, ok := spec.Docker.(map[string]any); ok {
		for _, option := range []string{"platform", "user"} {
			if value, given := options[option]; given {
				args = append(args, "--"+option, a.env.expand(fmt.Sprint(value)))
			}
		}
	}
	entrypoint := a.env.expandAll(spec.Entrypoint)
	if len(entrypoint) > 0 {
		args = append(args, "--entrypoint", entrypoint[0])
		command = append(slices.Clone(entrypoint[1:]), command...)
	}
	return append(append(args, a.env.expand(spec.Name)), command...)
}

// prologue sets the variables. They are not passed on the engine's command line or in its environment: those would be seen by
// others, and could be meant for a docker inside of the container.
func (c *containers) prologue(_ *attempt, variables map[string]string) string {
	variables = maps.Clone(variables)
	// The files belong to a user that the image does not know.
	variables["GIT_CONFIG_COUNT"], variables["GIT_CONFIG_KEY_0"], variables["GIT_CONFIG_VALUE_0"] = "1", "safe.directory", "*"
	var b strings.Builder
	b.WriteString(shPrologue)
	for _, key := range slices.Sorted(maps.Keys(variables)) {
		if shellName(key) {
			b.WriteString("export " + key + "=" + quote(variables[key]) + "\n")
		}
	}
	return b.String()
}

// shellName says whether a variable can be set in a shell.
func shellName(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" && (name[0] < '0' || name[0] > '9')
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

func (c *containers) command(a *attempt, name, script string, _ map[string]string) (args, environ []string, err error) {
	// The checkout borrows its objects from the snapshot.
	sources := a.run.definition.Sources.Dir
	args = []string{
		c.engine, "run", "--rm", "--name", c.name(a, name), "--workdir", a.build.project,
		"--volume", a.build.root + ":" + a.build.root, "--volume", sources + ":" + sources + ":ro",
	}
	if len(a.node.job.Services) > 0 {
		args = append(args, "--network", c.name(a, "network"))
	}
	return append(args, image(a, *a.node.job.Image, "sh", "-c", findShell, script)...), c.environ, open(a.build.root)
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

// stop removes the job's containers, and gives its files back to the user.
func (c *containers) stop(a *attempt) {
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	names := []string{c.name(a, "script"), c.name(a, "after_script")}
	for i := range a.node.job.Services {
		names = append(names, c.name(a, fmt.Sprintf("service-%d", i)))
	}
	// What is not there needs no removal; what cannot be removed is found by the next run.
	for _, name := range names {
		_, _ = c.run(ctx, "rm", "--force", "--volumes", name)
	}
	if len(a.node.job.Services) > 0 {
		_, _ = c.run(ctx, "network", "rm", c.name(a, "network"))
	}
	if uid := os.Getuid(); uid != 0 && a.node.job.Image != nil && filepath.Base(c.engine) == "docker" {
		owner := fmt.Sprintf("%d:%d", uid, os.Getgid())
		_, _ = c.run(ctx, "run", "--rm", "--user", "0", "--volume", a.build.root+":"+a.build.root, "--entrypoint", "chown",
			a.env.expand(a.node.job.Image.Name), "-R", owner, a.build.root)
	}
}

// sweep removes the containers and networks of runs that were killed.
func (c *containers) sweep(ctx context.Context, project string, alive func(run int) bool) {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	names := prefix(project)
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
