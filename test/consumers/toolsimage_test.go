package consumers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// toolsImage returns the name of the tools image that `make test-tools-image` has built in podman's storage. Podman is rootless unless the
// user is root; in both cases the jobs use the network of this machine.
func toolsImage(t testing.TB) string {
	t.Helper()
	image := os.Getenv("SLIPWAY_TEST_TOOLS_IMAGE")
	if image == "" {
		t.Skip("SLIPWAY_TEST_TOOLS_IMAGE names no tools image: make test-tools-image builds one")
	}
	// Podman's default limits may be higher than this machine allows.
	settings := filepath.Join(t.TempDir(), "containers.conf")
	if err := os.WriteFile(settings, []byte("[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=32768:32768\"]\n[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_CONF", settings)
	return image
}

// inToolsImage runs a command in the tools image and returns its output.
func inToolsImage(t testing.TB, image string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "podman", append([]string{"run", "--rm", "--network", "host", "--pull", "never", image}, args...)...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// everyStage includes all stages that run in the tools image, except for those that TestSupplyChain covers.
const everyStage = `include:
  - project: slipway-ci/slipway
    ref: v0.1.0
    file: /ci/workflow.yml
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/go-service@v0.1.0
    inputs: {app: service, builder: ko, coverage_minimum: 60}
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/test-sharded@v0.1.0
    inputs: {job_prefix: sharded-, shards: 2, coverage_minimum: 60}
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/fuzz@v0.1.0
    inputs: {seconds: 5}
  # The commit is compared with itself, and any difference is accepted: this tests the job, not the load of the machine.
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/benchmark@v0.1.0
    inputs: {baseline: HEAD, count: 6, benchtime: 10x, regression: 100000}
` + localSources

// localSources replaces what the jobs would fetch from the internet.
const localSources = `
build-image:
  variables: {KO_DEFAULTBASEIMAGE: $BASE_IMAGE}
vulnerabilities-scan:
  variables: {SLIPWAY_VULNERABILITY_DATABASE: "file://$CI_PROJECT_DIR/.vulndb"}
`

// TestToolsImage runs the jobs of the stages in the tools image, with podman and without access to the tools of this machine.
func TestToolsImage(t *testing.T) {
	image := toolsImage(t)
	host := serve(t, "podman", "run", "--rm", "--network", "host", "--pull", "never", image, "crane")
	// All runs share one folder and one cache, as on a runner: the first run on a machine compiles and analyses the standard library.
	cache, err := runner.CacheDir("")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "test-tools-image")
	p := cloneTo(t, "service", filepath.Join(dir, "service"))
	p.image, p.cache, p.timeout = image, filepath.Join(dir, "cache"), 20*time.Minute
	p.write(".gitlab-ci.yml", everyStage)
	p.write("CHANGELOG.md", "# Changelog\n\n## [1.0.0]\n\nFirst release.\n")
	p.write("fuzz_test.go", "package main\n\nimport \"testing\"\n\nfunc FuzzNothing(f *testing.F) {\n\tf.Fuzz(func(*testing.T, string) {})\n}\n\nfunc BenchmarkNothing(b *testing.B) {\n\tfor b.Loop() {\n\t}\n}\n")
	if err := os.CopyFS(filepath.Join(p.dir, ".vulndb"), os.DirFS(filepath.Join(root, "internal/gate/findings/testdata/vulndb"))); err != nil {
		t.Fatal(err)
	}
	p.commit("Include every stage")
	p.git("tag", "v1.0.0")
	repository := host + "/acme/service"
	p.variables = []pipeline.Variable{
		{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: repository}, {Key: "BASE_IMAGE", Value: emptyBase(t, image, host)},
	}

	push := p.run(nil, "lint", "lint-drift", "gosec", "licenses", "secrets", "vulnerabilities", "test", "sharded-test", "publish")
	green := []string{
		"lint", "lint-drift", "gosec-scan", "gosec", "licenses", "secrets-scan", "secrets", "vulnerabilities-scan", "vulnerabilities", "test",
		"sharded-test-shard 1/2", "sharded-test-shard 2/2", "sharded-test", "build-image", "publish",
	}
	push.green(green...)
	for _, name := range green {
		if j := push.plan.Job(name); j == nil || j.Image == nil {
			t.Errorf("%s ran in no image", name)
		}
	}

	digest := variable(push.job("build-image").Dotenv, "IMAGE_DIGEST")
	if got := inToolsImage(t, image, "crane", "digest", repository+":main"); got != digest || digest == "" {
		t.Errorf("the tag main is %q, build-image passed on %q", got, digest)
	}
	tagged := p.run(func(e *pipeline.Event) { e.Branch, e.Tag = "", "v1.0.0" }, "release-image", "release")
	tagged.green("release-image", "release")

	scheduled := p.run(onSchedule, "fuzz", "benchmark")
	scheduled.green("fuzz", "benchmark")

	// There is no cluster: the job finds kubectl and reports what is missing.
	p.alone = true
	p.variables = append(p.variables, pipeline.Variable{Key: "IMAGE_REPOSITORY", Value: repository}, pipeline.Variable{Key: "IMAGE_DIGEST", Value: digest})
	p.run(nil, "deploy-staging").red("deploy-staging", 1, noCluster)
}

// emptyBase pushes a base image for ko that has only a user and certificates, and returns its name.
func emptyBase(t testing.TB, image, host string) string {
	t.Helper()
	name := host + "/base:x"
	inToolsImage(t, image, "sh", "-ec", `work=$(mktemp -d) && mkdir -p "$work/etc/ssl/certs" && cp /etc/ssl/certs/ca-certificates.crt "$work/etc/ssl/certs/" && tar -C "$work" -cf /tmp/layer.tar etc
crane append --oci-empty-base --platform linux/amd64 --new_tag `+name+` --new_layer /tmp/layer.tar
crane mutate `+name+` --user 65532 --set-platform linux/amd64 --tag `+name)
	return name
}

// TestToolsImageCommands checks that the image has the commands that the scripts of the stages run.
func TestToolsImageCommands(t *testing.T) {
	image := toolsImage(t)
	missing := inToolsImage(t, image, "sh", "-c", "for c in go git gcc jq curl sh slipway golangci-lint gosec gotestsum govulncheck gocover-cobertura acceptance gitleaks crane ko kubeconform kubectl glab; do command -v $c >/dev/null || echo missing $c; done")
	if missing != "" {
		t.Error(missing)
	}
	if version := inToolsImage(t, image, "slipway", "version"); !strings.Contains(version, "slipway") {
		t.Errorf("slipway version: %q", version)
	}
	// A go.mod that requires a newer patch release works, which the golang images refuse.
	if got := inToolsImage(t, image, "go", "env", "GOTOOLCHAIN"); got != "auto" {
		t.Errorf("GOTOOLCHAIN is %s", got)
	}
}

// TestToolsImageReplaces builds a part of the tools image again, which removes untagged images of earlier builds and no others.
func TestToolsImageReplaces(t *testing.T) {
	image := toolsImage(t)
	archive := layer(t, map[string]os.FileMode{"file": 0o644}, 10)
	untagged := func(label string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "podman", "import", "--quiet", "--change", "LABEL "+label, archive).Output()
		if err != nil {
			t.Fatal(err)
		}
		id := strings.TrimPrefix(strings.TrimSpace(string(out)), "sha256:")
		t.Cleanup(func() {
			_ = exec.CommandContext(context.WithoutCancel(t.Context()), "podman", "rmi", "--ignore", id).Run()
		})
		return id
	}
	replaced, foreign := untagged("dev.slipway.tools=old"), untagged("com.example.tools=old")
	build := exec.CommandContext(t.Context(), filepath.Join(root, "tools", "image.sh"), "kubectl")
	build.Env = append(os.Environ(), "SLIPWAY_STAND_IN=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	exists := func(image string) bool {
		return exec.CommandContext(t.Context(), "podman", "image", "exists", image).Run() == nil
	}
	if exists(replaced) {
		t.Error("the replaced image still exists")
	}
	if !exists(foreign) || !exists(image) {
		t.Error("an image of another project, or the current one, was removed")
	}
}
