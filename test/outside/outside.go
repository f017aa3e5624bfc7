// Package outside runs programs and looks at the platform, for the tests that prove deliveries from outside.
package outside

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// Command runs a program and returns its output, trimmed. A test in which it fails ends.
func Command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...) // cleanups run commands, too
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		var stderr []byte
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			stderr = exit.Stderr
		}
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr)
	}
	return strings.TrimSpace(string(out))
}

// Kubectl runs a command as the administrator of the platform's cluster.
func Kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return Command(t, "", "platform", append([]string{"kubectl"}, args...)...)
}

// ServedCommit returns the commit that a namespace's Service of the orders service names, asked through the API server.
func ServedCommit(t *testing.T, namespace string) string {
	t.Helper()
	var version struct{ Commit string }
	answer := Kubectl(t, "get", "--raw", "/api/v1/namespaces/"+namespace+"/services/orders:admin/proxy/version")
	if err := json.Unmarshal([]byte(answer), &version); err != nil {
		t.Fatalf("/version answers %q: %v", answer, err)
	}
	return version.Commit
}

// Image returns the image that a namespace's Deployment of the orders service names.
func Image(t *testing.T, namespace string) string {
	t.Helper()
	return Kubectl(t, "--namespace", namespace, "get", "deployment/orders", "--output", "jsonpath={.spec.template.spec.containers[0].image}")
}
