// Package outside runs programs, such as the orders service, and reads the state of the platform, for black-box tests.
package outside

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Command runs a program and returns its output, trimmed, or fails the test.
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

// Program returns the path of a program. If it is missing, the test is skipped, or fails if SLIPWAY_REQUIRE_name is 1; fix describes how to
// install the program.
func Program(t testing.TB, program, name, fix string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		message := fmt.Sprintf("%s is not in PATH: %s", program, fix)
		if os.Getenv("SLIPWAY_REQUIRE_"+name) == "1" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	return path
}

// FreeAddress returns an address on loopback that no program listens on.
func FreeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// WriteProgram writes a program that can be executed immediately: no process that other tests fork inherits the open file, which would make
// its execution fail with ETXTBSY.
func WriteProgram(t testing.TB, path, content string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
}

// Kubectl runs a command as the administrator of the platform's cluster.
func Kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return Command(t, "", "platform", append([]string{"kubectl"}, args...)...)
}

// ServedCommit returns the commit that the orders service of a namespace reports, read through the API server.
func ServedCommit(t *testing.T, namespace string) string {
	t.Helper()
	var version struct{ Commit string }
	answer := Kubectl(t, "get", "--raw", "/api/v1/namespaces/"+namespace+"/services/orders:admin/proxy/version")
	if err := json.Unmarshal([]byte(answer), &version); err != nil {
		t.Fatalf("/version answers %q: %v", answer, err)
	}
	return version.Commit
}

// Image returns the image of the orders Deployment of a namespace.
func Image(t *testing.T, namespace string) string {
	t.Helper()
	return Kubectl(t, "--namespace", namespace, "get", "deployment/orders", "--output", "jsonpath={.spec.template.spec.containers[0].image}")
}

// StartOrders compiles the orders service of a repository and starts it with SQLite, on ports that the system chooses, until the test ends.
// It returns the URL of its public port and the address of its admin port.
func StartOrders(t *testing.T, repository string, environ ...string) (public, admin string) {
	t.Helper()
	folder := t.TempDir()
	binary := filepath.Join(folder, "orders")
	compile := exec.CommandContext(t.Context(), "go", "-C", filepath.Join(repository, "service"), "build", "-o", binary, "./cmd/orders")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := exec.CommandContext(context.WithoutCancel(t.Context()), binary) // the cleanup below stops it
	c.Env = append([]string{"ORDERS_HTTP_ADDR=127.0.0.1:0", "ORDERS_ADMIN_ADDR=127.0.0.1:0", "ORDERS_DATABASE_URL=sqlite:" + filepath.Join(folder, "orders.db")}, environ...)
	output, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	var line struct{ Msg, HTTP, Admin string }
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			go func() { _, _ = io.Copy(io.Discard, output) }() // it must not block without a reader
			return "http://" + line.HTTP, line.Admin
		}
	}
	t.Fatal("the service does not serve")
	return "", ""
}
