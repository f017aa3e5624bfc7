package consumers

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestTraceHasNoCredentials runs the build with CI_DEBUG_TRACE: GitLab masks the password in the trace, but no other form of it.
// A stand-in for BuildKit prints the credentials that it gets; user and password contain what a shell or GitLab would replace.
func TestTraceHasNoCredentials(t *testing.T) {
	t.Parallel()
	const user, password = "robot$ci", "$ecret/with 'quotes' and % s"
	p := clone(t, "service")
	p.write("stand-in/buildctl-daemonless.sh", "#!/bin/sh\necho \"CONFIG $(base64 -w 0 <\"$DOCKER_CONFIG/config.json\")\" >&2\n")
	outside.Command(t, p.dir, "chmod", "+x", "stand-in/buildctl-daemonless.sh")
	p.path = filepath.Join(p.dir, "stand-in")
	p.write(".gitlab-ci.yml", with("image", "registry: harbor.example.com, registry_user: $HARBOR_USER, registry_password: $HARBOR_PASSWORD"))
	p.commit("Trace")
	p.variables = []pipeline.Variable{{Key: "CI_DEBUG_TRACE", Value: "true"}, {Key: "HARBOR_USER", Value: user, Raw: true}, {Key: "HARBOR_PASSWORD", Value: password, Raw: true, Masked: true}}
	log := p.run(nil, "build-image").log("build-image")
	_, config, _ := strings.Cut(log, "CONFIG ")
	config, _, _ = strings.Cut(config, "\n")
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	if got, err := base64.StdEncoding.DecodeString(config); err != nil || string(got) != `{"auths":{"harbor.example.com":{"auth":"`+auth+`"}}}` {
		t.Errorf("the builder gets %s, %v", got, err)
	}
	if !strings.Contains(log, "+ [ -n") && !strings.Contains(log, "+ '['") {
		t.Fatalf("there is no trace:\n%s", tail(log))
	}
	if strings.Contains(log, auth) {
		t.Error("the trace contains the password in base64")
	}
}
