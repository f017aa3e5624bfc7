package consumers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// docker starts a Docker engine that leaves the machine's network alone, and returns its address and a function that runs docker with it.
func docker(t *testing.T) (address string, run func(args ...string) string) {
	t.Helper()
	outside.Program(t, "docker", "DOCKER", "apt-get install docker.io")
	outside.Program(t, "dockerd", "DOCKER", "apt-get install docker.io")
	dir, err := os.MkdirTemp("", "docker-") // paths of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	address = "unix://" + filepath.Join(dir, "socket")
	// Machines that are containers lack a capability that privileged containers get, and that the tests do not need.
	runtime := filepath.Join(dir, "runtime")
	outside.WriteProgram(t, runtime, `#!/bin/sh
without() { # edits the lists of capabilities $2 in the file $1
  jq "($2[]?) |= map(select(. != \"CAP_SYS_RESOURCE\"))" "$1" >"$1.new" && cat "$1.new" >"$1"
}
before=
for argument; do
  case $before in
    --bundle) without "$argument/config.json" .process.capabilities ;;
    --process) without "$argument" .capabilities ;;
  esac
  before=$argument
done
exec runc "$@"
`)
	daemon := exec.Command("dockerd", "--host", address, "--data-root", filepath.Join(dir, "images"), "--exec-root", filepath.Join(dir, "run"),
		"--pidfile", filepath.Join(dir, "pid"), "--iptables=false", "--ip6tables=false", "--bridge=none",
		"--add-runtime", "tests="+runtime, "--default-runtime", "tests")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = daemon.Wait()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for begin := time.Now(); exec.CommandContext(t.Context(), "docker", "--host", address, "info").Run() != nil; time.Sleep(200 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("dockerd does not answer")
		}
	}
	return address, func(args ...string) string {
		t.Helper()
		return outside.Command(t, "", "docker", append([]string{"--host", address}, args...)...)
	}
}

// TestDockerBuild builds with Docker before version 29, which cannot write OCI layouts itself: in a container with BuildKit, for which an image is
// made here of the stand-in for BuildKit's. The plugin buildx and the engine are where Docker's own configuration says.
func TestDockerBuild(t *testing.T) {
	builder := builderImage(t)
	buildx := outside.Program(t, "docker-buildx", "BUILDX", "make test-supply-chain compiles it")
	address, docker := docker(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	plugins := filepath.Join(config, "cli-plugins")
	if err := os.MkdirAll(plugins, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(buildx, filepath.Join(plugins, "docker-buildx")); err != nil {
		t.Fatal(err)
	}
	outside.Command(t, "", "podman", "save", "--quiet", "--output", filepath.Join(dir, "builder.tar"), builder)
	docker("load", "--quiet", "--input", filepath.Join(dir, "builder.tar"))
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM "+builder+"\nUSER root\nENV BUILDKIT_HOST=unix:///run/buildkit/buildkitd.sock\nENTRYPOINT [\"buildkitd\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	outside.Command(t, "", "env", "DOCKER_BUILDKIT=0", "docker", "--host", address, "build", "--tag", "moby/buildkit:buildx-stable-1", dir)
	outside.Command(t, "", "docker", "--config", config, "context", "create", "elsewhere", "--docker", "host="+address)
	outside.Command(t, "", "docker", "--config", config, "context", "use", "elsewhere")

	host := registry(t)
	p := clone(t, "service")
	p.write(".gitlab-ci.yml", with("image", "reproducible: true, size_limit: 10"))
	p.commit("Build with Docker")
	p.alone = true
	p.variables = []pipeline.Variable{
		{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/docker"}, {Key: "DOCKER_CONFIG", Value: config}, {Key: "DOCKER_HOST"}, {Key: "SLIPWAY_GO_IMAGE", Value: host + "/no/golang:1"},
	}
	o := p.run(nil, "build-image")
	o.green("build-image")
	log := o.log("build-image")
	if !strings.Contains(log, "[internal] load build definition from Dockerfile") {
		t.Errorf("another program built the image:\n%s", tail(log))
	}
	if left := docker("ps", "--all", "--quiet"); left != "" {
		t.Errorf("containers are left: %s", left)
	}
	if left := docker("volume", "ls", "--quiet"); left != "" {
		t.Errorf("volumes are left: %s", left)
	}
}
