package consumers

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// proxies are the variables of a group whose runners reach nothing but a proxy, and an empty one, which counts as unset.
var proxies = []pipeline.Variable{
	{Key: "GOPROXY", Value: "https://modules.corp.example, direct"}, {Key: "GONOSUMDB", Value: "*"}, {Key: "HTTPS_PROXY", Value: "http://proxy.corp.example:3128"}, {Key: "GOPRIVATE"},
}

// TestBuildBehindProxy builds a Dockerfile that declares such variables, on a runner that has them.
func TestBuildBehindProxy(t *testing.T) {
	t.Parallel()
	outside.Program(t, "buildah", "BUILDAH", "apt-get install buildah")
	host := registry(t)
	p := clone(t, "service")
	p.write(".gitlab-ci.yml", with("image", "go_image: 127.0.0.1:1/none"))
	p.write("Dockerfile", "FROM scratch AS build\nFROM scratch\nCOPY main.go /\nARG GOPROXY=none\nARG GONOSUMDB=none\nARG GOPRIVATE=none\nLABEL proxy=${GOPROXY} sums=${GONOSUMDB} private=${GOPRIVATE}\nUSER 65532\n")
	p.commit("Show what the build gets")
	p.variables = append([]pipeline.Variable{{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/proxy"}}, proxies...)
	o := p.run(nil, "build-image")
	o.green("build-image")
	out, err := exec.CommandContext(t.Context(), filepath.Join(commands(t), "crane"), "config", host+"/acme/proxy@"+variable(o.job("build-image").Dotenv, "IMAGE_DIGEST")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var image struct {
		Config struct{ Labels map[string]string }
	}
	if err := json.Unmarshal(out, &image); err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]string{"proxy": proxies[0].Value, "sums": "*", "private": "none"} {
		if got := image.Config.Labels[label]; got != want {
			t.Errorf("%s is %q in the build, want %q", label, got, want)
		}
	}
	// A proxy's address is known to builders, and in no image.
	if strings.Contains(string(out), "proxy.corp.example:3128") {
		t.Errorf("the image names the proxy: %s", out)
	}
}

// TestBuildKitBehindProxy checks that BuildKit gets these variables for the images of services and for the tools image of a mirror. A stand-in prints
// what it is called with.
func TestBuildKitBehindProxy(t *testing.T) {
	t.Parallel()
	p := clone(t, "service")
	p.write("stand-in/buildctl-daemonless.sh", "#!/bin/sh\nprintf 'ARGUMENT %s\\n' \"$@\" >&2\n")
	outside.Command(t, p.dir, "chmod", "+x", "stand-in/buildctl-daemonless.sh")
	p.path = filepath.Join(p.dir, "stand-in")
	own, err := exec.CommandContext(t.Context(), "sed", "-n", "/^tools-image:/,/^# /p", filepath.Join(root, ".gitlab-ci.yml")).Output()
	if err != nil {
		t.Fatal(err)
	}
	p.write(".gitlab-ci.yml", with("image", "package: ./cmd/x")+string(own))
	p.commit("Build with BuildKit")
	p.variables = append([]pipeline.Variable{{Key: "SLIPWAY"}, {Key: "CI_REGISTRY_PASSWORD", Value: "secret"}}, proxies...)
	for _, job := range []string{"build-image", "tools-image"} {
		log := p.run(nil, job).log(job)
		for _, want := range []string{"build-arg:GOPROXY=https://modules.corp.example, direct", "build-arg:GONOSUMDB=*", "build-arg:HTTPS_PROXY=http://proxy.corp.example:3128"} {
			if !strings.Contains(log, "ARGUMENT "+want+"\n") {
				t.Errorf("%s does not pass on %s:\n%s", job, want, tail(log))
			}
		}
		if strings.Contains(log, "build-arg:GOPRIVATE") {
			t.Errorf("%s passes on an empty variable", job)
		}
	}
}
