package consumers

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

func TestSharded(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	p.write(".gitlab-ci.yml", `include:
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/test-sharded@v0.1.0
    inputs: {shards: 2}
`)
	p.write("double/double.go", "// Package double doubles numbers.\npackage double\n\n// Of returns 2n.\nfunc Of(n int) int { return 2 * n }\n")
	p.write("double/double_test.go", "package double\n\nimport \"testing\"\n\nfunc TestOf(t *testing.T) {\n\tif Of(2) != 4 {\n\t\tt.Fail()\n\t}\n}\n")
	p.commit("Add a second package")
	o := p.run(nil, "test")
	o.green("test-shard 1/2", "test-shard 2/2", "test")
	// Together they cover everything, each of them a half.
	if !strings.Contains(o.log("test"), "total:\t(statements)\t100.0%") {
		t.Error(tail(o.log("test")))
	}
	for _, shard := range []string{"test-shard 1/2", "test-shard 2/2"} {
		if !strings.Contains(o.log(shard), "DONE") {
			t.Errorf("%s ran no tests:\n%s", shard, tail(o.log(shard)))
		}
	}
}

// onSchedule turns an event into a schedule, on which these stages run.
func onSchedule(e *pipeline.Event) { e.Source = pipeline.Schedule }

func TestFuzz(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	p.write(".gitlab-ci.yml", "include:\n  - component: $CI_SERVER_FQDN/slipway-ci/slipway/fuzz@v0.1.0\n    inputs: {seconds: 3}\n")
	p.commit("Fuzz")
	o := p.run(onSchedule, "fuzz")
	o.green("fuzz")
	if !strings.Contains(o.log("fuzz"), "--- example.com/library FuzzSlug") {
		t.Error(tail(o.log("fuzz")))
	}
	p.write("slug_test.go", strings.Replace(p.read("slug_test.go"), `strings.Contains(s, "--")`, `strings.Contains(s, "7")`, 1))
	p.commit("Let the target fail")
	p.run(onSchedule, "fuzz").red("fuzz", 1, "These targets failed: example.com/library.FuzzSlug", "How to fix")
}

func TestBenchmark(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	p.write(".gitlab-ci.yml", "include:\n  - component: $CI_SERVER_FQDN/slipway-ci/slipway/benchmark@v0.1.0\n    inputs: {baseline: HEAD~1, count: 6, benchtime: 2000x, regression: 300}\n")
	p.commit("Measure")
	p.write("README.md", "No code.\n")
	p.commit("Change no code")
	p.run(onSchedule, "benchmark").green("benchmark")
	p.write("slug.go", strings.Replace(p.read("slug.go"), "gap := false\n", "gap := false\n\tfor range 200 {\n\t\ttitle = strings.Clone(title)\n\t}\n", 1))
	p.commit("Make it slow")
	p.run(onSchedule, "benchmark").red("benchmark", 1, "Slug")
}

func TestSonar(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	p.write(".gitlab-ci.yml", p.read(".gitlab-ci.yml")+"  - component: $CI_SERVER_FQDN/slipway-ci/slipway/sonar@v0.1.0\n")
	p.write("stand-in/sonar-scanner", "#!/bin/sh\necho \"STAND-IN for sonar-scanner\"\nprintf '%s\\n' \"$@\"\ntest -z \"$FAIL\"\n")
	p.commit("Run SonarQube")
	if err := os.Chmod(filepath.Join(p.dir, "stand-in", "sonar-scanner"), 0o700); err != nil { //nolint:gosec // a command has to be executable
		t.Fatal(err)
	}
	p.variables = []pipeline.Variable{{Key: "SONAR_TOKEN", Value: "x"}, {Key: "SONAR_HOST_URL", Value: "https://sonar.example.com"}}
	p.path = filepath.Join(p.dir, "stand-in")
	p.branch()
	p.write("README.md", "Changed.\n")
	p.commit("Change")
	o := p.run(nil, "sonar")
	o.green("sonar")
	for _, want := range []string{"-Dsonar.pullrequest.key=7", "-Dsonar.pullrequest.branch=feature", "-Dsonar.pullrequest.base=main", "-Dsonar.qualitygate.wait=true",
		"/.reports/test/coverage.out", "/.reports/lint/sonar.json", "/.reports/gosec/sonar.json", "-Dsonar.qualitygate.timeout=600"} {
		if !strings.Contains(o.log("sonar"), want) {
			t.Errorf("the arguments do not contain %s:\n%s", want, tail(o.log("sonar")))
		}
	}
	p.variables = append(p.variables, pipeline.Variable{Key: "FAIL", Value: "1"})
	p.run(nil, "sonar").red("sonar", 1, "quality gate", "How to fix")
}

// registry starts an OCI registry on loopback for the duration of a test and returns its address.
func registry(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs jobs for minutes")
	}
	return serve(t, filepath.Join(commands(t), "crane"))
}

// serve starts a registry with the given command line of crane, and returns its address.
func serve(t testing.TB, crane ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), crane[0], append(crane[1:], "registry", "serve", "--address", "127.0.0.1:0")...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	out, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() })
	buffer := make([]byte, 4096)
	n, err := out.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // it logs every request, and must not block without a reader
	_, port, found := strings.Cut(string(buffer[:n]), "port ")
	if !found {
		t.Fatalf("crane printed no port: %q", buffer[:n])
	}
	return "127.0.0.1:" + strings.TrimSpace(port)
}

func TestImageCheck(t *testing.T) {
	t.Parallel()
	host := registry(t)
	crane := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), filepath.Join(commands(t), "crane"), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("crane %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for i, c := range []struct {
		name, user string
		files      map[string]os.FileMode
		size       int
		says       string
	}{
		{"good", "65532:65532", map[string]os.FileMode{"orders": 0o755}, 1000, ""},
		{"too big", "65532:65532", map[string]os.FileMode{"orders": 0o755}, 3_000_000, "limit 2 MB"},
		{"root", "0", map[string]os.FileMode{"orders": 0o755}, 1000, "runs as root"},
		{"no user", "", map[string]os.FileMode{"orders": 0o755}, 1000, "runs as root"},
		{"a user name", "app", map[string]os.FileMode{"orders": 0o755}, 1000, "is a name"},
		{"a shell", "65532", map[string]os.FileMode{"orders": 0o755, "bin/sh": 0o644}, 1000, "has a shell: bin/sh"},
		{"setuid", "65532", map[string]os.FileMode{"orders": 0o755 | os.ModeSetuid}, 1000, "setuid"},
		{"two programs", "65532", map[string]os.FileMode{"orders": 0o755, "debug": 0o755}, 1000, "2 programs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			repository := fmt.Sprintf("%s/acme/app%d", host, i)
			digest := crane("append", "--oci-empty-base", "--platform", "linux/amd64", "--new_tag", repository+":x", "--new_layer", layer(t, c.files, c.size))
			if c.user != "" {
				digest = crane("mutate", repository+":x", "--user", c.user, "--tag", repository+":x")
			} else {
				digest = strings.TrimSpace(digest)
			}
			_, digest, _ = strings.Cut(digest, "@")
			p := clone(t, "service")
			p.write(".gitlab-ci.yml", "include:\n  - component: $CI_SERVER_FQDN/slipway-ci/slipway/image@v0.1.0\n    inputs: {size_limit: 2}\n")
			p.commit("Check")
			p.variables = []pipeline.Variable{{Key: "IMAGE_REPOSITORY", Value: repository}, {Key: "IMAGE_DIGEST", Value: digest}}
			p.alone = true
			o := p.run(nil, "image-check")
			if c.says == "" {
				o.green("image-check")
			} else {
				o.red("image-check", 1, c.says, "How to fix", "docs/stages/image.md")
			}
		})
	}
}

func TestPublishAndRelease(t *testing.T) {
	t.Parallel()
	host := registry(t)
	crane := filepath.Join(commands(t), "crane")
	repository := host + "/acme/library"
	out, err := exec.CommandContext(t.Context(), crane, "append", "--oci-empty-base", "--new_tag", repository+":x", "--new_layer",
		layer(t, map[string]os.FileMode{"app": 0o755}, 10)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, digest, _ := strings.Cut(strings.TrimSpace(string(out)), "@")

	p := clone(t, "library")
	p.write(".gitlab-ci.yml", fmt.Sprintf(`include:
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/image@v0.1.0
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/publish@v0.1.0
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/release@v0.1.0
    inputs: {repository: %s}
`, repository))
	p.commit("Publish")
	p.git("tag", "v1.0.0")
	p.git("tag", "v2.0.0")
	// The build labels an image with its commit, which a release checks.
	out, err = exec.CommandContext(t.Context(), crane, "mutate", repository+"@"+digest, "--label", "org.opencontainers.image.revision="+p.git("rev-parse", "HEAD"), "--tag", repository+":x").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, digest, _ = strings.Cut(strings.TrimSpace(string(out)), "@")
	p.alone = true
	tag := func(name string) func(*pipeline.Event) {
		return func(e *pipeline.Event) { e.Branch, e.Tag = "", name }
	}
	// No pipeline has published this commit yet, so there is nothing to release.
	p.run(tag("v1.0.0"), "release-image").red("release-image", 1, "the pipeline of the default branch has not passed", "How to fix")

	p.variables = []pipeline.Variable{{Key: "IMAGE_REPOSITORY", Value: repository}, {Key: "IMAGE_DIGEST", Value: digest}}
	p.run(nil, "publish").green("publish")
	p.variables = nil
	p.run(tag("v1.0.0"), "release-image").green("release-image")
	for _, name := range []string{"main", "1.0.0", "1.0", "1"} {
		got, err := exec.CommandContext(t.Context(), crane, "digest", repository+":"+name).Output()
		if err != nil || strings.TrimSpace(string(got)) != digest {
			t.Errorf("%s is %s, %v; want %s", name, got, err, digest)
		}
	}
	p.run(tag("v1.0.0"), "release").green("release")
	p.run(tag("v2.0.0"), "release").red("release", 1, "has no section '## [2.0.0]'", "How to fix")
}

// TestMovingTags releases versions out of order: patches of older lines take no tag from a newer version.
func TestMovingTags(t *testing.T) {
	t.Parallel()
	repository := registry(t) + "/acme/library"
	crane := func(args ...string) string {
		t.Helper()
		return outside.Command(t, "", filepath.Join(commands(t), "crane"), args...)
	}
	p := clone(t, "library")
	p.write(".gitlab-ci.yml", with("release", "repository: "+repository))
	p.commit("Release")
	p.alone = true
	archive := layer(t, map[string]os.FileMode{"app": 0o755}, 10)
	for _, c := range []struct {
		version string
		moves   []string
	}{
		{"1.10.0", []string{"1", "1.10"}}, {"1.9.1", []string{"1.9"}}, {"1.9.0", nil}, {"1.11.0-rc.1", nil},
		{"2.0.0", []string{"2", "2.0"}}, {"1.10.2", []string{"1", "1.10"}}, {"1.10.2", []string{"1", "1.10"}},
	} {
		p.write("VERSION", c.version)
		p.git("add", "VERSION")
		p.git("commit", "--quiet", "--allow-empty", "--message", "Release "+c.version)
		p.git("tag", "--force", "v"+c.version)
		commit := p.git("rev-parse", "HEAD")
		image := crane("append", "--oci-empty-base", "--new_tag", repository+":build", "--new_layer", archive)
		digest := digestOf(crane("mutate", image, "--label", "org.opencontainers.image.revision="+commit, "--tag", repository+":sha-"+commit))
		p.run(func(e *pipeline.Event) { e.Branch, e.Tag = "", "v"+c.version }, "release-image").green("release-image")
		var moved []string
		for _, tag := range strings.Fields(crane("ls", repository)) {
			if tag != c.version && !strings.HasPrefix(tag, "sha-") && crane("digest", repository+":"+tag) == digest {
				moved = append(moved, tag)
			}
		}
		slices.Sort(moved)
		if !slices.Equal(moved, c.moves) {
			t.Errorf("%s moves %v, want %v", c.version, moved, c.moves)
		}
	}
}

// TestReleaseNotes finds the section of a version in changelogs as people and tools write them.
func TestReleaseNotes(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	for _, c := range []struct{ name, inputs, tag, changelog, want string }{
		{"keep a changelog", "", "v1.2.0", "# Changelog\n\n## [Unreleased]\n\nsoon\n\n## [1.2.0] - 2026-01-02\n\n### Added\n\n- this\n\n## [1.1.0] - 2025-01-02\n\n- that\n", "### Added\n\n- this"},
		{"line endings of Windows", "", "v1.2.0", "# Changelog\r\n\r\n## [1.2.0]\r\n\r\n- this\r\n\r\n## [1.1.0]\r\n\r\n- that\r\n", "- this"},
		{"semantic-release, a feature", "", "v1.2.0", "# [1.2.0](https://x/compare/v1.1.1...v1.2.0) (2026-01-02)\n\n\n### Features\n\n* this\n\n## [1.1.1](https://x) (2025-01-02)\n\n\n### Bug Fixes\n\n* that\n", "### Features\n\n* this"},
		{"semantic-release, a patch", "", "v1.1.1", "# [1.2.0](https://x) (2026-01-02)\n\n* that\n\n## [1.1.1](https://x) (2025-01-02)\n\n\n### Bug Fixes\n\n* this\n\n# 1.0.0 (2024-01-01)\n\n* that\n", "### Bug Fixes\n\n* this"},
		{"GitLab's changelog API", "", "1.2.0", "## 1.2.0 (2026-01-02)\n\n### feature (1 change)\n\n- [this](acme/x@1)\n\n## 1.1.0 (2025-01-02)\n\n- that\n", "### feature (1 change)\n\n- [this](acme/x@1)"},
		{"another version begins the same", "", "v1.2.0", "## v1.2.0-rc.1\n\n- that\n\n## v1.2.01\n\n- that\n\n## v1.2.0\n\n- this\n", "- this"},
		{"one service of several", "tag_prefix: orders-", "orders-v1.2.0", "## billing-v1.2.0\n\n- that\n\n## [orders-v1.2.0](https://x)\n\n- this\n\n## orders-v1.1.0\n\n- that\n", "- this"},
	} {
		p.write(".gitlab-ci.yml", with("release", "with_image: false, "+cmp.Or(c.inputs, "job: release")))
		p.write("CHANGELOG.md", c.changelog)
		p.commit(c.name)
		p.git("tag", "--force", c.tag)
		o := p.run(func(e *pipeline.Event) { e.Branch, e.Tag = "", c.tag }, "release")
		o.green("release")
		if got := strings.TrimSpace(o.artifact("release", "release-notes.md")); strings.ReplaceAll(got, "\n\n\n", "\n\n") != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	// Without a changelog the notes are the commits since the tag before, of this service.
	p.git("tag", "--delete", "v1.2.0")
	p.git("tag", "billing-v9.0.0")
	p.write(".gitlab-ci.yml", with("release", "with_image: false, changelog: ''"))
	p.commit("feat: ship \"it\" (100 %)")
	p.git("tag", "v2.0.0")
	o := p.run(func(e *pipeline.Event) { e.Branch, e.Tag = "", "v2.0.0" }, "release")
	o.green("release")
	notes := o.artifact("release", "release-notes.md")
	if !strings.HasPrefix(notes, "- feat: ship \"it\" (100 %) (") || !strings.Contains(notes, "- one service of several (") || strings.Contains(notes, "- GitLab's changelog API (") {
		t.Errorf("notes of v2.0.0:\n%s", notes)
	}
	p.git("rm", "--quiet", "CHANGELOG.md")
	p.commit("No changelog")
	p.git("tag", "v3.0.0")
	p.write(".gitlab-ci.yml", with("release", "with_image: false"))
	p.run(func(e *pipeline.Event) { e.Branch, e.Tag = "", "v3.0.0" }, "release").red("release", 1, "CHANGELOG.md has no section '## [3.0.0]'", "How to fix")
}

// layer creates the tar archive of a layer with files of the given modes and size, and returns its path.
func layer(t *testing.T, files map[string]os.FileMode, size int) string {
	t.Helper()
	dir := t.TempDir()
	var names []string
	for name, mode := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		noise := make([]byte, size)
		state := uint32(2463534242)
		for i := range noise { // incompressible, so that the layer keeps its size in the registry
			state ^= state << 13
			state ^= state >> 17
			state ^= state << 5
			noise[i] = byte(state)
		}
		if err := os.WriteFile(path, noise, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	archive := filepath.Join(t.TempDir(), "layer.tar")
	if out, err := exec.CommandContext(t.Context(), "tar", append([]string{"-C", dir, "-cf", archive}, names...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return archive
}

func TestOnlyAffected(t *testing.T) {
	t.Parallel()
	p := clone(t, "monorepo")
	p.write("ci/module.yml", strings.Replace(p.read("ci/module.yml"), "coverage_minimum: 70", "only_affected: true", 1))
	p.write("billing/plan/plan.go", "// Package plan has no importers.\npackage plan\n\n// Name returns the plan's name.\nfunc Name() string { return \"free\" }\n")
	p.write("billing/plan/plan_test.go", "package plan\n\nimport \"testing\"\n\nfunc TestName(t *testing.T) {\n\tif Name() == \"\" {\n\t\tt.Fail()\n\t}\n}\n")
	p.commit("Add a package without importers")
	p.branch()
	p.write("greeting/greeting.go", strings.Replace(p.read("greeting/greeting.go"), "Hello greets", "Hello welcomes", 1))
	p.commit("Change the shared package")
	o := p.run(func(e *pipeline.Event) { e.Changed = []string{"greeting/greeting.go"} }, "billing-test", "greeting-test")
	o.green("billing-test", "greeting-test")
	if log := o.log("billing-test"); !strings.Contains(log, "The change affects: example.com/monorepo/billing\n") {
		t.Errorf("the change must affect the service, which imports it, and not plan:\n%s", tail(log))
	}
}

// TestCompatibility runs the tests with two versions of Go. The older one is fetched from the module proxy.
func TestCompatibility(t *testing.T) {
	t.Parallel()
	o := clone(t, "library").run(nil, "compatibility")
	for _, version := range []string{"1.26", "1.27"} {
		job := "compatibility: [" + version + "]"
		if strings.Contains(o.log(job), "toolchain not available") {
			t.Skipf("the module proxy does not serve Go %s:\n%s", version, tail(o.log(job)))
		}
		o.green(job)
		if log := o.log(job); !strings.Contains(log, "go version go"+version+".") {
			t.Errorf("%s ran with another version:\n%s", job, tail(log))
		}
	}
}

// TestForkRun runs the jobs of a merge request from a fork: they pass, the image is built, and nothing is pushed.
func TestForkRun(t *testing.T) {
	t.Parallel()
	outside.Program(t, "buildah", "BUILDAH", "apt-get install buildah")
	host := registry(t)
	p := clone(t, "fork")
	p.variables = []pipeline.Variable{{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/fork"}}
	p.branch()
	p.write("main_test.go", p.read("main_test.go")+"\nfunc TestNothing(t *testing.T) { _ = version }\n")
	p.commit("Contribute")
	o := p.run(func(e *pipeline.Event) { e.MergeRequestInfo.Fork = true }, "lint", "gosec", "test", "build-image")
	o.green("lint", "gosec", "test", "build-image")
	if !strings.Contains(o.log("build-image"), "pushed nothing: this merge request comes from a fork") {
		t.Error(tail(o.log("build-image")))
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(commands(t), "crane"), "ls", host+"/acme/fork").CombinedOutput(); err == nil && len(out) > 0 {
		t.Errorf("the registry contains %s", out)
	}
}

// TestKo builds the image without a Dockerfile and without privileges.
func TestKo(t *testing.T) {
	t.Parallel()
	host := registry(t)
	crane := filepath.Join(commands(t), "crane")
	base := host + "/base"
	if out, err := exec.CommandContext(t.Context(), crane, "append", "--oci-empty-base", "--platform", "linux/amd64", "--new_tag", base+":x", "--new_layer",
		layer(t, map[string]os.FileMode{"etc/ssl/certs/ca-certificates.crt": 0o644}, 10)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), crane, "mutate", base+":x", "--user", "65532", "--set-platform", "linux/amd64", "--tag", base+":x").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := clone(t, "service")
	p.write(".gitlab-ci.yml", "include:\n  - component: $CI_SERVER_FQDN/slipway-ci/slipway/image-ko@v0.1.0\n    inputs: {base_image: \""+base+":x\"}\n")
	p.commit("Build with ko")
	p.variables = []pipeline.Variable{{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/service"}}
	first := p.run(nil, "build-image")
	first.green("build-image")
	again := p.run(nil, "build-image")
	again.green("build-image")
	digest := func(o *outcome) string { return variable(o.job("build-image").Dotenv, "IMAGE_DIGEST") }
	if digest(first) == "" || digest(first) != digest(again) {
		t.Errorf("two builds of one commit have the digests %q and %q", digest(first), digest(again))
	}
	if out, err := exec.CommandContext(t.Context(), crane, "config", host+"/acme/service@"+digest(first)).CombinedOutput(); err != nil || !strings.Contains(string(out), "org.opencontainers.image.revision") {
		t.Errorf("the registry does not have the image with its label: %v\n%s", err, out)
	}
}
