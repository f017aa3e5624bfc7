package main_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gitlab.com/slipway-ci/slipway/service/pgtest"
	"gitlab.com/slipway-ci/slipway/service/testlog"
)

// maxBinary is the maximum size of the program, in bytes.
const maxBinary = 32_000_000

const root = "../.."

// program is built once for all tests, as it is delivered.
var program string

func TestMain(m *testing.M) { pgtest.Main(withProgram{m}) }

type withProgram struct{ m *testing.M }

func (p withProgram) Run() int {
	folder, err := os.MkdirTemp("/tmp", "orders") // TMPDIR may be below a folder that only root may enter
	if err == nil {
		defer os.RemoveAll(folder)    //nolint:errcheck // a temporary folder
		err = os.Chmod(folder, 0o755) // #nosec G302 -- tests run the program as another user, too
	}
	if err == nil {
		program = filepath.Join(folder, "orders")
		err = build(root, program)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return p.m.Run()
}

func build(folder, output string) error {
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=v1 -X main.commit=abc", "-o", output, "./cmd/orders") // #nosec G204 -- our own arguments
	c.Dir, c.Env = folder, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func TestSize(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxBinary {
		t.Errorf("the program has %d bytes, at most %d are allowed", info.Size(), maxBinary)
	}
}

// TestReproducible builds the same sources in another folder and compares.
func TestReproducible(t *testing.T) {
	t.Parallel()
	if os.Getenv("SLIPWAY_TEST_GENERATED") != "1" {
		t.Skip("compiles for a minute: make test-generated")
	}
	elsewhere := t.TempDir()
	if err := os.CopyFS(elsewhere, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "orders")
	if err := build(elsewhere, again); err != nil {
		t.Fatal(err)
	}
	var sums [2][32]byte
	for i, path := range []string{program, again} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(b)
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds differ: %x and %x", sums[0], sums[1])
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), program, "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "orders v1 (commit abc, go1.") {
		t.Errorf("%s, %v", out, err)
	}
}

// TestUnprivileged runs the program as the image's user. Where it may not write, its error names the setting; in the image's
// folder, which belongs to that user, it starts without a setting.
func TestUnprivileged(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	const uid = 65532
	run := func(folder string) (*exec.Cmd, *bytes.Buffer) {
		c := exec.Command(program) // #nosec G204 -- our own program
		c.Dir = folder
		c.Env = []string{"ORDERS_HTTP_ADDR=127.0.0.1:0", "ORDERS_ADMIN_ADDR=127.0.0.1:0", "ORDERS_SHUTDOWN_DRAIN=0s"}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, Pdeathsig: syscall.SIGKILL}
		var out bytes.Buffer
		c.Stderr = &out
		return c, &out
	}
	refused, out := run("/")
	if err := refused.Run(); err == nil || !strings.Contains(out.String(), "user 65532 may not write to /: set database.url (ORDERS_DATABASE_URL) to sqlite:PATH") {
		t.Errorf("in /: %v %s", err, out)
	}
	testlog.ReadsOutside()
	dockerfile, err := os.ReadFile(root + "/../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"COPY --from=build --chown=65532:65532 /data /data\nWORKDIR /data\n", "USER 65532:65532\n"} {
		if !strings.Contains(string(dockerfile), line) {
			t.Errorf("the Dockerfile has no %q", line)
		}
	}
	data, err := os.MkdirTemp("/tmp", "orders") // t.TempDir is below a folder that only root may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	if err := os.Chown(data, uid, uid); err != nil {
		t.Fatal(err)
	}
	serving, out := run(data)
	stdout, err := serving.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serving.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.Contains(line, "migrated") {
		t.Errorf("in a folder of its own: %v %s%s", err, line, out)
	}
	_ = serving.Process.Kill()
	_ = serving.Wait()
}
