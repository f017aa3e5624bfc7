package consumers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestReleaseVerifies releases images whose label or signature is not what the pipeline of the default branch makes.
func TestReleaseVerifies(t *testing.T) {
	t.Parallel()
	ours, theirs := outside.NewSigner(t), outside.NewSigner(t)
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
		{"signed by the project", commit, func(_, image string) { ours.Sign(image) }, false, ""},
		{"signed by the project and by others", commit, func(_, image string) { theirs.Sign(image); ours.Sign(image) }, false, ""},
		{"unsigned", commit, func(_, _ string) {}, false, "has no valid signature of this project; nothing is released"},
		{"signed by others", commit, func(_, image string) { theirs.Sign(image) }, false, "has no valid signature of this project; nothing is released"},
		{"with the signature of another image", commit, func(repository, image string) {
			signed := repository + "@" + digestOf(crane("mutate", image, "--label", "org.opencontainers.image.title=signed", "--tag", repository+":signed"))
			ours.Sign(signed)
			tag := func(image string) string { return strings.Replace(image, "@sha256:", ":sha256-", 1) }
			crane("copy", tag(signed), tag(image))
		}, false, "has no valid signature of this project; nothing is released"},
		{"signed for another commit", other, func(_, image string) { ours.Sign(image) }, false, "its label says that it was built from " + other + "; nothing is released"},
		{"signed without a label", "", func(_, image string) { ours.Sign(image) }, false, "its label says that it was built from nothing; nothing is released"},
		{"signed, and the key is not there", commit, func(_, image string) { ours.Sign(image) }, true, "COSIGN_PUBLIC_KEY is not set, so no signature can be checked; nothing is released"},
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
				p.variables = append(p.variables, pipeline.Variable{Key: "COSIGN_PUBLIC_KEY", Value: ours.Public(), File: true})
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
