package consumers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// A signer signs images with a key pair of its own, as the sign stage does.
type signer struct {
	t   *testing.T
	dir string
}

func newSigner(t *testing.T) signer {
	t.Helper()
	outside.Program(t, "cosign", "COSIGN", "make test-stages compiles it")
	s := signer{t, t.TempDir()}
	s.cosign("generate-key-pair")
	s.cosign("signing-config", "create", "--out", "signing-config.json")
	s.write("provenance.json", `{"buildDefinition": {"buildType": "https://example.com/build/v1", "externalParameters": {}}, "runDetails": {"builder": {"id": "https://example.com"}}}`)
	return s
}

func (s signer) cosign(args ...string) {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), "cosign", args...)
	c.Dir, c.Env = s.dir, append(os.Environ(), "COSIGN_PASSWORD=secret", "COSIGN_YES=true")
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("cosign %v: %v\n%s", args, err, out)
	}
}

func (s signer) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s signer) sign(image string) {
	s.t.Helper()
	s.cosign("sign", "--key", "cosign.key", "--signing-config", "signing-config.json", "--allow-insecure-registry", image)
}

// attest signs a provenance document about the image as an attestation of the given type.
func (s signer) attest(image, predicateType string) {
	s.t.Helper()
	s.cosign("attest", "--type", predicateType, "--predicate", "provenance.json", "--key", "cosign.key", "--signing-config", "signing-config.json", "--allow-insecure-registry", image)
}

// public returns the public key.
func (s signer) public() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "cosign.pub"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// TestReleaseVerifies releases images whose label or signature is not what the pipeline of the default branch makes.
func TestReleaseVerifies(t *testing.T) {
	t.Parallel()
	ours, theirs := newSigner(t), newSigner(t)
	host := registry(t)
	crane := func(args ...string) string {
		t.Helper()
		return outside.Command(t, "", filepath.Join(commands(t), "crane"), args...)
	}
	p := clone(t, "service")
	p.write(".gitlab-ci.yml", with("release", "signature: key, insecure_registry: true, needs: []"))
	p.commit("Release")
	p.git("tag", "v1.0.0")
	commit := p.git("rev-parse", "HEAD")
	other := strings.Repeat("a", 40)
	archive := layer(t, map[string]os.FileMode{"app": 0o755}, 10)

	for i, c := range []struct {
		name, revision string
		prepare        func(repository, image string)
		withoutKey     bool
		says           string // empty for a release
	}{
		{"signed by the project", commit, func(_, image string) { ours.sign(image) }, false, ""},
		{"signed by the project and by others", commit, func(_, image string) { theirs.sign(image); ours.sign(image) }, false, ""},
		{"unsigned", commit, func(_, _ string) {}, false, "has no valid signature of this project; nothing is released"},
		{"signed by others", commit, func(_, image string) { theirs.sign(image) }, false, "has no valid signature of this project; nothing is released"},
		{"with the signature of another image", commit, func(repository, image string) {
			signed := repository + "@" + digestOf(crane("mutate", image, "--label", "org.opencontainers.image.title=signed", "--tag", repository+":signed"))
			ours.sign(signed)
			tag := func(image string) string { return strings.Replace(image, "@sha256:", ":sha256-", 1) }
			crane("copy", tag(signed), tag(image))
		}, false, "has no valid signature of this project; nothing is released"},
		{"signed for another commit", other, func(_, image string) { ours.sign(image) }, false, "its label says that it was built from " + other + "; nothing is released"},
		{"signed without a label", "", func(_, image string) { ours.sign(image) }, false, "its label says that it was built from nothing; nothing is released"},
		{"signed, and the key is not there", commit, func(_, image string) { ours.sign(image) }, true, "COSIGN_PUBLIC_KEY is not set, so no signature can be checked; nothing is released"},
	} {
		t.Run(c.name, func(t *testing.T) {
			repository := fmt.Sprintf("%s/acme/service%d", host, i)
			image := repository + "@" + digestOf(crane("append", "--oci-empty-base", "--new_tag", repository+":sha-"+commit, "--new_layer", archive))
			if c.revision != "" {
				image = repository + "@" + digestOf(crane("mutate", image, "--label", "org.opencontainers.image.revision="+c.revision, "--tag", repository+":sha-"+commit))
			}
			c.prepare(repository, image)
			p.alone = true
			p.variables = []pipeline.Variable{{Key: "CI_REGISTRY_IMAGE", Value: repository}}
			if !c.withoutKey {
				p.variables = append(p.variables, pipeline.Variable{Key: "COSIGN_PUBLIC_KEY", Value: ours.public(), File: true})
			}
			o := p.run(func(e *pipeline.Event) { e.Branch, e.Tag = "", "v1.0.0" }, "release-image")
			tags := strings.Fields(crane("ls", repository))
			if c.says == "" {
				o.green("release-image")
				for _, tag := range []string{"1.0.0", "1.0", "1"} {
					if got := crane("digest", repository+":"+tag); !strings.HasSuffix(image, "@"+got) {
						t.Errorf("%s is %s, want the image %s", tag, got, image)
					}
				}
				return
			}
			o.red("release-image", 1, c.says, "How to fix")
			for _, tag := range tags {
				if strings.HasPrefix(tag, "1") {
					t.Errorf("the job was red, and the image has the tag %s", tag)
				}
			}
		})
	}
}

// digestOf returns the digest of the image that crane has printed.
func digestOf(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	return digest
}
