package runner

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// engine is a stand-in for docker: it writes down how it was called, and runs the command of a container on this machine.
const engine = `#!/bin/bash
echo "$*" >>"$(dirname "$0")/calls"
case $1 in
version | rm | network | ps) ;;
image) [ "$3" != absent ] ;;
pull) echo "Error: no such image" >&2; exit 1 ;;
run)
  shift
  while [ $# -gt 0 ]; do
    case $1 in
    --detach) exit 0 ;;
    --rm) shift ;;
    --workdir) cd "$2"; shift 2 ;;
    --entrypoint) [ -n "$2" ] && entry=$2; shift 2 ;;
    --*) shift 2 ;;
    *) break ;;
    esac
  done
  shift
  exec env -i PATH="$PATH" $entry "$@"
  ;;
esac
`

func withEngine(t *testing.T, p *project, executor string) (calls func() string) {
	t.Helper()
	dir := t.TempDir()
	writeProgram(t, filepath.Join(dir, "docker"), engine)
	p.options.Executor = executor
	p.options.ContainerEngine = filepath.Join(dir, "docker")
	return func() string {
		content, _ := os.ReadFile(filepath.Join(dir, "calls"))
		return string(content)
	}
}

func inImage(i pipeline.Image) func(*pipeline.Job) {
	return func(j *pipeline.Job) { j.Image = &i }
}

func TestContainers(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	calls := withEngine(t, p, "docker")
	plan := planOf(
		job("build", "echo made >out; cat README; echo \"$VALUE\"; echo \"[$CI_JOB_NAME]\"; git log --format=%s", inImage(pipeline.Image{Name: "golang:$GO"}),
			variables("GO=1.27", "VALUE=two 'words'\nand a line"), artifacts(pipeline.Artifacts{Paths: []string{"out"}}),
			func(j *pipeline.Job) { j.AfterScript = []string{"echo after $CI_JOB_STATUS"} }),
		job("use", "cat out; exit 3", stage("next"), inImage(pipeline.Image{
			Name: "busybox", Entrypoint: []string{""}, Docker: map[string]any{"user": "dev", "platform": "linux/arm64"},
		})))
	r := p.runPlan(plan)
	p.wantLog(r, "build", "a project", "two 'words'", "and a line", "[build]", "first", "after success")
	p.wantLog(r, "use", "made")
	if s := state(r, "use"); s.ExitCode != 3 {
		t.Errorf("got %+v", s)
	}
	for _, want := range []string{" golang:1.27 sh -c ", "--user dev", "--platform linux/arm64", "--entrypoint  busybox sh -c", "image inspect busybox", "rm --force --volumes slipway-"} {
		if !strings.Contains(calls(), want) {
			t.Errorf("the engine was not called with %q:\n%s", want, calls())
		}
	}
	if strings.Contains(calls(), "two 'words'") {
		t.Error("a variable is on the engine's command line")
	}
}

func TestServices(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	calls := withEngine(t, p, "docker")
	r := p.run(job("j", "true", inImage(pipeline.Image{Name: "golang"}), variables("TAG=16"), func(j *pipeline.Job) {
		j.Services = []pipeline.Image{{Name: "postgres:$TAG", Alias: "db,database", Command: []string{"-c", "fsync=off"}}}
	}))
	p.want(r, RunSuccess, "j: success")
	for _, want := range []string{
		"network create slipway-", "--network-alias database --network-alias db --network-alias postgres ", " postgres:16 -c fsync=off\n", "network rm slipway-",
	} {
		if !strings.Contains(calls(), want) {
			t.Errorf("the engine was not called with %q:\n%s", want, calls())
		}
	}
}

func TestImageThatIsNotThere(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	withEngine(t, p, "docker")
	r := p.run(job("j", "true", inImage(pipeline.Image{Name: "absent"})), job("none", "true"))
	if s := state(r, "j"); s.Failure != SystemFailure || s.Error != "pull image absent: Error: no such image" {
		t.Errorf("got %+v", s)
	}
	if s := state(r, "none"); !strings.Contains(s.Error, "the job names no image") {
		t.Errorf("got %+v", s)
	}
}

func TestAutomaticExecutor(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	calls := withEngine(t, p, "auto")
	p.want(p.run(job("here", "true"), job("there", "true", inImage(pipeline.Image{Name: "golang"}))), RunSuccess, "here: success", "there: success")
	if strings.Count(calls(), "\nrun ") != 1 {
		t.Errorf("calls:\n%s", calls())
	}
}

func TestNoEngine(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.Executor, p.options.ContainerEngine = "podman", filepath.Join(t.TempDir(), "podman")
	_, err := Run(context.Background(), planOf(job("a", "true")), p.options)
	if err == nil || !strings.Contains(err.Error(), "podman is not installed: install it") {
		t.Errorf("got %v", err)
	}
}
