package consumers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestReproducible builds an image whose Dockerfile fetches a file that is the same or different in each of the two builds.
func TestReproducible(t *testing.T) {
	t.Parallel()
	outside.Program(t, "buildah", "BUILDAH", "apt-get install buildah")
	host := registry(t)
	for _, c := range []struct {
		name string
		same bool
	}{{"same", true}, {"different", false}} {
		t.Run(c.name, func(t *testing.T) {
			var fetched atomic.Int64
			release := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet {
					return
				}
				n := fetched.Add(1)
				if c.same {
					n = 0
				}
				_, _ = fmt.Fprintf(w, "release %d\n", n)
			}))
			t.Cleanup(release.Close)
			p := clone(t, "service")
			p.write(".gitlab-ci.yml", "include:\n  - component: $CI_SERVER_FQDN/slipway-ci/slipway/image@v0.1.0\n    inputs: {reproducible: true}\n")
			p.write("Dockerfile", strings.Replace(p.read("Dockerfile"), "USER 65532", "ADD "+release.URL+"/latest /latest\nUSER 65532", 1))
			p.commit("Fetch a file")
			p.variables = []pipeline.Variable{{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/" + c.name}}
			o := p.run(nil, "build-image")
			if c.same {
				o.green("build-image")
			} else {
				o.red("build-image", 1, "The same commit gave sha256:", "How to fix", "How to accept")
			}
			if fetched.Load() < 2 {
				t.Errorf("the file was fetched %d times, so that the image was not built twice:\n%s", fetched.Load(), tail(o.log("build-image")))
			}
		})
	}
}

// TestBuildsShareLayers builds while another job removes a layer from the storage that both use: buildah ends with the error that a program in
// front of it gives here once.
func TestBuildsShareLayers(t *testing.T) {
	t.Parallel()
	buildah := outside.Program(t, "buildah", "BUILDAH", "apt-get install buildah")
	host, dir := registry(t), t.TempDir()
	for _, program := range []string{"buildah", "podman"} {
		outside.WriteProgram(t, filepath.Join(dir, program), fmt.Sprintf(`#!/bin/sh
if [ "$1" = build ] && [ ! -e %[1]q ]; then
  touch %[1]q
  echo "Error: checking if cached image exists from a previous build: getting top layer info: layer not known" >&2
  exit 125
fi
exec %[2]q "$@"
`, filepath.Join(dir, "tried"), buildah))
	}
	p := clone(t, "service")
	p.write(".gitlab-ci.yml", with("image", ""))
	p.commit("Build beside another job")
	p.variables = []pipeline.Variable{{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/shared"}, {Key: "PATH", Value: dir + ":" + commands(t) + ":" + os.Getenv("PATH")}}
	p.run(nil, "build-image").green("build-image")
	if _, err := os.Stat(filepath.Join(dir, "tried")); err != nil {
		t.Errorf("the builder was not used: %v", err)
	}

	p.write("Dockerfile", "FROM scratch\nCOPY nothing /\n")
	p.commit("Copy what is not there")
	o := p.run(nil, "build-image")
	o.red("build-image", 1, "nothing")
	if n := strings.Count(o.log("build-image"), "STEP 1/"); n != 1 {
		t.Errorf("a build that cannot succeed is tried %d times", n)
	}
}
