package consumers

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// distribution starts Debian's docker-registry, which stores layer caches and untagged manifests like GitLab's registry, and returns its address
// and the folder of its data.
func distribution(t testing.TB) (host, data string) {
	t.Helper()
	program := outside.Program(t, "docker-registry", "REGISTRY", "apt-get install docker-registry")
	host = outside.FreeAddress(t)
	dir := t.TempDir()
	data = filepath.Join(dir, "data")
	settings := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %s}\n", data, host)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, "serve", settings)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() })
	get(t, "http://"+host+"/v2/")
	return host, data
}

// builderImage returns the name of the image with BuildKit that `make test-supply-chain` has built in podman's storage.
func builderImage(t testing.TB) string {
	t.Helper()
	image := os.Getenv("SLIPWAY_TEST_BUILDER_IMAGE")
	if image == "" {
		t.Skip("SLIPWAY_TEST_BUILDER_IMAGE names no image with BuildKit: make test-supply-chain builds one")
	}
	return image
}

// TestSupplyChainSecrets builds with secrets, with rootless BuildKit and its layer cache in the registry.
func TestSupplyChainSecrets(t *testing.T) {
	image, builder := toolsImage(t), builderImage(t)
	host, data := distribution(t)
	p := clone(t, "service")
	p.image, p.privileged, p.timeout = image, true, 20*time.Minute
	buildsWithSecrets(t, p, host, data, pipeline.Variable{Key: "SLIPWAY_BUILDER_IMAGE", Value: builder}, pipeline.Variable{Key: "SLIPWAY_GO_IMAGE", Value: shellImage(t, host)})
	if tags := inToolsImage(t, image, "crane", "ls", host+"/acme/secrets"); !slices.Contains(strings.Fields(tags), "cache") {
		t.Errorf("the layers are not cached in the registry, whose tags are %q", tags)
	}
}

// TestSupplyChainPlatforms builds one image for two platforms with rootless BuildKit, without an emulator, and checks it.
func TestSupplyChainPlatforms(t *testing.T) {
	image, builder := toolsImage(t), builderImage(t)
	host, _ := distribution(t)
	golang := golangIn(t, host)
	p := clone(t, "service")
	p.write(".gitlab-ci.yml", with("image", "platforms: 'linux/amd64,linux/arm64', reproducible: true, size_limit: 10"))
	p.commit("Build for two platforms")
	p.image, p.privileged, p.timeout = image, true, 20*time.Minute
	p.variables = []pipeline.Variable{
		{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/service"},
		{Key: "SLIPWAY_BUILDER_IMAGE", Value: builder}, {Key: "SLIPWAY_GO_IMAGE", Value: golang},
	}
	o := p.run(nil, "image-check")
	o.green("build-image", "image-check")
	ref := host + "/acme/service@" + variable(o.job("build-image").Dotenv, "IMAGE_DIGEST")
	for architecture, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		program, err := elf.NewFile(bytes.NewReader(fileOfImage(t, ref, "linux/"+architecture, "service")))
		if err != nil {
			t.Fatalf("%s: %v", architecture, err)
		}
		if program.Machine != machine {
			t.Errorf("the image for %s has a program for %s", architecture, program.Machine)
		}
	}
}

// golangIn pushes the stand-in for the image golang to a registry, and returns its name.
func golangIn(t testing.TB, host string) string {
	t.Helper()
	golang := host + "/library/golang:1"
	if out, err := exec.CommandContext(t.Context(), "podman", "push", "--quiet", "--tls-verify=false", "localhost/slipway/golang", "docker://"+golang).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return golang
}

// fileOfImage returns a file of an image for a platform.
func fileOfImage(t *testing.T, ref, platform, name string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(commands(t), "crane"), "export", "--platform", platform, ref, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(bytes.NewReader(out)); ; {
		header, err := files.Next()
		if err != nil {
			t.Fatalf("%s in %s for %s: %v", name, ref, platform, err)
		}
		if header.Name == name {
			content, err := io.ReadAll(files)
			if err != nil {
				t.Fatal(err)
			}
			return content
		}
	}
}

// cachedCompile matches the log of a build that takes the Dockerfile's compilation from the layer cache.
var cachedCompile = regexp.MustCompile(`(?m)^#(\d+) \[build 4/4\] RUN .*\n#\d+ CACHED$`)

// TestSupplyChain runs the stages image, sign, scan and publish: it builds an image with rootless BuildKit, signs it with a key, creates its SBOM
// and scans it, in the tools image and a stand-in for BuildKit's image (`make test-supply-chain`).
func TestSupplyChain(t *testing.T) {
	image, builder := toolsImage(t), builderImage(t)
	host, _ := distribution(t)
	golang := golangIn(t, host)
	p := clone(t, "service")
	p.image = image
	p.write(".gitlab-ci.yml", `include:
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/image@v0.1.0
    inputs: {layer_cache: true, reproducible: true, size_limit: 10}
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/sign@v0.1.0
    inputs: {signature: key, insecure_registry: true}
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/scan@v0.1.0
    inputs: {database: "http://127.0.0.1:1/none"}
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/publish@v0.1.0
    inputs: {needs: [build-image, image-check, image-verify]}
`)
	p.commit("Build with BuildKit, sign and scan")
	keys := t.TempDir()
	generate := exec.CommandContext(t.Context(), "podman", "run", "--rm", "--pull", "never", "--volume", keys+":"+keys, "--workdir", keys,
		"--env", "COSIGN_PASSWORD=secret", image, "cosign", "generate-key-pair")
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	key := func(name string) string {
		text, err := os.ReadFile(filepath.Join(keys, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	p.variables = []pipeline.Variable{
		{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/service"},
		{Key: "SLIPWAY_BUILDER_IMAGE", Value: builder}, {Key: "SLIPWAY_GO_IMAGE", Value: golang},
		{Key: "COSIGN_PRIVATE_KEY", Value: key("cosign.key"), File: true}, {Key: "COSIGN_PUBLIC_KEY", Value: key("cosign.pub"), File: true},
		{Key: "COSIGN_PASSWORD", Value: "secret", Masked: true},
	}

	// Rootless BuildKit needs user namespaces and mounts, which the default seccomp profile of containers refuses.
	p.privileged, p.timeout = true, 20*time.Minute
	first := p.run(nil, "build-image")
	first.green("build-image")
	// The first job has built the image twice, and compared the digests; this one takes its layers from the cache.
	p.variables = append(p.variables, pipeline.Variable{Key: "SLIPWAY_REPRODUCIBLE", Value: "false"})
	again := p.run(nil, "build-image")
	again.green("build-image")
	digest := variable(first.job("build-image").Dotenv, "IMAGE_DIGEST")
	if got := variable(again.job("build-image").Dotenv, "IMAGE_DIGEST"); got != digest || digest == "" {
		t.Errorf("two builds of one commit have the digests %q and %q", digest, got)
	}
	if log := again.log("build-image"); !cachedCompile.MatchString(log) {
		t.Errorf("the second build does not take the compiled service from the cache in the registry:\n%s", log)
	}

	p.privileged, p.reuse = false, true
	o := p.run(nil, "image-check", "image-sbom", "image-sign", "image-verify", "publish", "image-vulnerabilities")
	o.green("image-check", "image-sbom", "image-sign", "image-verify", "publish")
	if sbom := o.artifact("image-sbom", "gl-sbom.cdx.json"); !strings.Contains(sbom, "pkg:golang/stdlib@") {
		t.Errorf("the SBOM does not contain Go's standard library: %.300s", sbom)
	}
	// There is no database: the jobs end with a warning, neither green nor red.
	for _, job := range []string{"image-vulnerabilities-scan", "image-vulnerabilities"} {
		if j := o.job(job); j.ExitCode != 3 {
			t.Errorf("%s ends with %d, want 3:\n%s", job, j.ExitCode, tail(o.log(job)))
		}
	}

	// Another image of the same registry is not signed.
	p.reuse, p.alone = false, true
	p.variables = append(p.variables, pipeline.Variable{Key: "IMAGE_REPOSITORY", Value: host + "/library/golang"},
		pipeline.Variable{Key: "IMAGE_DIGEST", Value: inToolsImage(t, image, "crane", "digest", golang)})
	p.run(nil, "image-verify").red("image-verify", 1, "has no valid signature of this project")
}
