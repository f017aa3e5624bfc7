package consumers

import (
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestKeyless signs images with the tokens of jobs, through a Sigstore on loopback whose Fulcio certifies them as the public one does, and
// verifies them before deployments and releases. The issuers stand in for GitLab; the claims are those that GitLab documents.
func TestKeyless(t *testing.T) {
	gitlab, elsewhere := outside.NewIssuer(t, httptest.NewServer), outside.NewIssuer(t, httptest.NewServer)
	s := startSigstore(t, gitlab, elsewhere)
	host := registry(t)
	crane := func(args ...string) string {
		t.Helper()
		return outside.Command(t, "", filepath.Join(commands(t), "crane"), args...)
	}
	p := clone(t, "service")
	p.instance, p.cache = gitlab.Server.URL, t.TempDir()
	p.write(".gitlab-ci.yml", `include:
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/image@v0.1.0
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/sign@v0.1.0
    inputs: {signature: keyless, insecure_registry: true}
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/release@v0.1.0
    inputs: {signature: keyless, insecure_registry: true, needs: []}
`)
	// The SBOM comes from syft; here it is a file of the project.
	p.write("gl-sbom.cdx.json", `{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": []}`)
	p.commit("Sign and release")
	p.git("tag", "v1.0.0")
	p.alone = true
	commit := p.git("rev-parse", "HEAD")
	archive := layer(t, map[string]os.FileMode{"app": 0o755}, 10)
	// image pushes the image of the commit to a repository of its own.
	image := func(repository string) (digest string) {
		pushed := crane("append", "--oci-empty-base", "--new_tag", repository+":x", "--new_layer", archive)
		return digestOf(crane("mutate", pushed, "--label", "org.opencontainers.image.revision="+commit, "--label", "org.opencontainers.image.title="+repository,
			"--tag", repository+":sha-"+commit))
	}
	variables := func(repository, digest string, more ...pipeline.Variable) []pipeline.Variable {
		return append([]pipeline.Variable{
			{Key: "CI_REGISTRY_IMAGE", Value: repository}, {Key: "IMAGE_REPOSITORY", Value: repository}, {Key: "IMAGE_DIGEST", Value: digest},
			{Key: "GIT_STRATEGY", Value: "clone"}}, more...)
	}
	file := func(key, path string) pipeline.Variable {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return pipeline.Variable{Key: key, Value: string(text), File: true}
	}
	trustedRoot, signingConfig := file("SIGSTORE_TRUSTED_ROOT", s.trustedRoot), file("SIGSTORE_SIGNING_CONFIG", s.signingConfig)
	// token returns the token that GitLab gives to a job of a pipeline of acme/service for main, with some claims replaced.
	token := func(issuer *outside.Issuer, audience string, replaced map[string]any) pipeline.Variable {
		claims := map[string]any{"project_path": "acme/service", "namespace_path": "acme", "sub": "project_path:acme/service:ref_type:branch:ref:main", "sha": commit,
			"ci_config_ref_uri": gitlab.Host() + "/acme/service//.gitlab-ci.yml@refs/heads/main", "ci_config_sha": commit, "environment": nil}
		maps.Copy(claims, replaced)
		return pipeline.Variable{Key: "SIGSTORE_ID_TOKEN", Value: issuer.Token(t, issuer.Key, audience, claims), Masked: true}
	}
	on := func(branch string) func(*pipeline.Event) { return func(e *pipeline.Event) { e.Branch = branch } }
	tag := func(e *pipeline.Event) { e.Branch, e.Tag = "", "v1.0.0" }
	at := func(uri string) map[string]any { return map[string]any{"ci_config_ref_uri": gitlab.Host() + uri} }

	for _, c := range []struct {
		name   string
		issuer *outside.Issuer // nil signs nothing
		claims map[string]any
		// accepted reports whether the pipeline of main may deploy the image, and a tag release it.
		accepted bool
	}{
		{"signed by the pipeline of main", gitlab, nil, true},
		{"unsigned", nil, nil, false},
		{"signed by another project", gitlab, at("/acme/other//.gitlab-ci.yml@refs/heads/main"), false},
		{"signed by a project whose name begins alike", gitlab, at("/acme/service2//.gitlab-ci.yml@refs/heads/main"), false},
		{"signed by another branch", gitlab, at("/acme/service//.gitlab-ci.yml@refs/heads/feature"), false},
		{"signed by a tag of the name", gitlab, at("/acme/service//.gitlab-ci.yml@refs/tags/main"), false},
		{"signed by another configuration", gitlab, at("/acme/service//other.yml@refs/heads/main"), false},
		{"signed by a merge request from a fork's branch of the name", gitlab, map[string]any{"pipeline_source": "merge_request_event"}, false},
		{"signed with a token of another issuer", elsewhere, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			repository := host + "/acme/" + strings.NewReplacer(" ", "-", "'", "").Replace(c.name)
			digest := image(repository)
			p.t = t
			if c.issuer != nil {
				before := s.entries()
				p.variables = variables(repository, digest, trustedRoot, signingConfig, token(c.issuer, "sigstore", c.claims))
				o := p.run(nil, "image-sign-keyless")
				o.green("image-sign-keyless")
				if strings.Contains(o.log("image-sign-keyless"), p.variables[len(p.variables)-1].Value) {
					t.Error("the log contains the token")
				}
				if got := s.entries() - before; got != 3 {
					t.Errorf("Rekor has %d entries more, want those of the signature, the provenance and the contents", got)
				}
			}
			p.variables = variables(repository, digest, trustedRoot)
			verify, release := p.run(nil, "image-verify"), p.run(tag, "release-image")
			if c.accepted {
				verify.green("image-verify")
				release.green("release-image")
			} else {
				verify.red("image-verify", 1, "has no valid signature of this project, so it is not deployed", "How to fix")
				release.red("release-image", 1, "has no valid signature of this project; nothing is released", "How to fix")
			}
			production := productionJob(t, ", verify_key: keyless, insecure_registry: true", repository, digest, digest)
			production.instance, production.variables = p.instance, p.variables
			says := passedChecks
			if !c.accepted {
				says = "The image has no valid signature by the pipeline of main; nothing has been touched"
			}
			production.run(nil, "deploy-production").red("deploy-production", exitOf(says), says)
			if got := strings.Contains(crane("ls", repository), "1.0.0"); got != c.accepted {
				t.Errorf("the image has the version's tag: %t, want %t", got, c.accepted)
			}
		})
	}
	p.t = t

	t.Run("signed and verified on another protected branch", func(t *testing.T) {
		p.t = t
		repository := host + "/acme/branch"
		digest := image(repository)
		p.variables = variables(repository, digest, trustedRoot, signingConfig,
			token(gitlab, "sigstore", map[string]any{"ref": "release/1", "ci_config_ref_uri": gitlab.Host() + "/acme/service//.gitlab-ci.yml@refs/heads/release/1"}))
		p.run(on("release/1"), "image-sign-keyless").green("image-sign-keyless")
		p.run(on("release/1"), "image-verify").green("image-verify")
		p.run(nil, "image-verify").red("image-verify", 1, "has no valid signature of this project")
		p.run(tag, "release-image").red("release-image", 1, "nothing is released")
	})
	t.Run("signed and verified in the pipeline of a tag", func(t *testing.T) {
		tagged := clone(t, "service")
		tagged.instance, tagged.alone = p.instance, true
		tagged.write(".gitlab-ci.yml", `include:
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/image@v0.1.0
    inputs: {rules: [{if: $CI_COMMIT_TAG}]}
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/sign@v0.1.0
    inputs: {signature: keyless, insecure_registry: true, rules: [{if: $CI_COMMIT_TAG}], sign_rules: [{if: $CI_COMMIT_TAG}]}
`)
		tagged.write("gl-sbom.cdx.json", p.read("gl-sbom.cdx.json"))
		tagged.commit("Sign tags")
		tagged.git("tag", "v1.0.0")
		repository := host + "/acme/tag"
		tagged.variables = variables(repository, image(repository), trustedRoot, signingConfig,
			token(gitlab, "sigstore", map[string]any{"ref": "v1.0.0", "ref_type": "tag", "ci_config_ref_uri": gitlab.Host() + "/acme/service//.gitlab-ci.yml@refs/tags/v1.0.0"}))
		tagged.run(tag, "image-sign-keyless").green("image-sign-keyless")
		tagged.run(tag, "image-verify").green("image-verify")
	})
	t.Run("refused", func(t *testing.T) {
		p.t = t
		repository := host + "/acme/refused"
		digest := image(repository)
		before := s.entries()
		good := token(gitlab, "sigstore", nil)
		for _, c := range []struct {
			says string
			more []pipeline.Variable
		}{
			{"Only one of SIGSTORE_TRUSTED_ROOT and SIGSTORE_SIGNING_CONFIG is set, so nothing is signed", []pipeline.Variable{good, trustedRoot}},
			{"Only one of SIGSTORE_TRUSTED_ROOT and SIGSTORE_SIGNING_CONFIG is set, so nothing is signed", []pipeline.Variable{good, signingConfig}},
			{"", []pipeline.Variable{token(gitlab, "elsewhere", nil), trustedRoot, signingConfig}},
			// Of an issuer that Fulcio does not know.
			{"", []pipeline.Variable{token(gitlab, "sigstore", map[string]any{"iss": "https://gitlab.example.com"}), trustedRoot, signingConfig}},
		} {
			p.variables = variables(repository, digest, c.more...)
			p.run(nil, "image-sign-keyless").red("image-sign-keyless", 1, c.says)
		}
		if got := s.entries(); got != before {
			t.Errorf("Rekor has %d entries, want the %d from before", got, before)
		}
		p.variables = variables(repository, digest, trustedRoot)
		p.run(nil, "image-verify").red("image-verify", 1, "has no valid signature of this project")
	})
}
