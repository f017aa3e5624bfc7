// Package build compiles the programs of the cluster, once for each version of their sources, into a cache.
package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// components are the names under which hyperkube is called.
var components = []string{"coredns", "etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"}

// kubernetesInputs are the files that Kubernetes' programs depend on.
var kubernetesInputs = []string{"kubernetes/go.mod", "kubernetes/go.sum", "kubernetes/*.go", "cmd/pause/*.go"}

// room is the disk space that the compilation needs with a filled build cache, in bytes; without one it needs 4 GB more, and
// the go command reports a full disk.
const room = 1 << 30

// A Source is the folder platform/ of a clone.
type Source struct{ Dir string }

// FindSource looks for the folder: the working directory of `go run -C platform`, or platform/ in it or above it.
func FindSource() (Source, error) {
	wd, err := os.Getwd()
	if err != nil {
		return Source{}, err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		for _, candidate := range []string{dir, filepath.Join(dir, "platform")} {
			if _, err := os.Stat(filepath.Join(candidate, "kubernetes", "go.mod")); err == nil {
				return Source{candidate}, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return Source{}, fmt.Errorf("platform/kubernetes is not in %s nor above it: run this inside of a clone, since Kubernetes is compiled from there", wd)
		}
	}
}

// A recipe is one set of programs: the files that they depend on, relative to the source, and how they are built.
type recipe struct {
	inputs  []string
	compile func(ctx context.Context, into string, log io.Writer) error
}

// Binaries returns the folder with Kubernetes' programs below cache, and compiles them if they are missing. Progress is written
// to log, occasionally a line.
func (s Source) Binaries(ctx context.Context, cache string, log io.Writer) (dir string, compiled bool, err error) {
	return s.once(ctx, cache, recipe{
		inputs: kubernetesInputs,
		compile: func(ctx context.Context, into string, log io.Writer) error {
			if err := s.compile(ctx, into, log); err != nil {
				return err
			}
			for _, name := range components {
				if err := os.Symlink("hyperkube", filepath.Join(into, name)); err != nil {
					return err
				}
			}
			return nil
		},
	}, log)
}

// once returns the folder of a recipe's programs below cache, and builds them if they are missing.
func (s Source) once(ctx context.Context, cache string, r recipe, log io.Writer) (dir string, compiled bool, err error) {
	sum, err := s.sum(r.inputs)
	if err != nil {
		return "", false, err
	}
	dir = filepath.Join(cache, sum)
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return dir, false, nil
	}
	unlock, err := lock(ctx, cache, log)
	if err != nil {
		return "", false, err
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil { // another compiled it while we waited
		return dir, false, nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "", false, errors.New("there is no go command in PATH: the cluster's programs are compiled with it")
	}
	fresh := dir + ".new"
	if err := errors.Join(os.RemoveAll(fresh), os.MkdirAll(fresh, 0o755)); err != nil {
		return "", false, err
	}
	if err := r.compile(ctx, fresh, log); err != nil {
		return "", false, err
	}
	if err := os.WriteFile(filepath.Join(fresh, "complete"), nil, 0o644); err != nil {
		return "", false, err
	}
	return dir, true, errors.Join(os.RemoveAll(dir), os.Rename(fresh, dir))
}

func (s Source) compile(ctx context.Context, into string, log io.Writer) error {
	module := filepath.Join(s.Dir, "kubernetes")
	version, err := output(ctx, module, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return err
	}
	if err := enoughSpace(ctx, module); err != nil {
		return err
	}
	list, err := output(ctx, module, "list", "-deps", ".")
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "compiling Kubernetes %s once: minutes without a build cache, seconds with one\n", version)
	total := strings.Count(list, "\n") + 1
	progress := &progress{total: total, log: log, next: time.Now().Add(10 * time.Second)}
	args := []string{"build", "-trimpath", "-v", "-ldflags", versionFlags(version), "-o", filepath.Join(into, "hyperkube"), "."}
	if err := goCommand(ctx, module, progress, args...); err != nil {
		return fmt.Errorf("compile Kubernetes: %w\n%s", err, progress.errors())
	}
	var out bytes.Buffer
	if err := goCommand(ctx, s.Dir, &out, "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(into, "pause"), "./cmd/pause"); err != nil {
		return fmt.Errorf("compile pause: %w\n%s", err, out.Bytes())
	}
	return nil
}

// versionFlags set Kubernetes' version, as its own build scripts do with these variables.
func versionFlags(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for name, value := range map[string]string{"gitVersion": version, "gitMajor": parts[0], "gitMinor": parts[1],
			"gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z"} {
			flags = append(flags, "-X", pkg+"."+name+"="+value)
		}
	}
	return strings.Join(flags, " ")
}

// goCommand runs the go command with this process's own toolchain, so that the cached build results match.
func goCommand(ctx context.Context, dir string, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTOOLCHAIN="+runtime.Version(), "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=")
	// A separate process group, so that Ctrl-C ends the compilers, too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}

func output(ctx context.Context, dir string, args ...string) (string, error) {
	var out bytes.Buffer
	if err := goCommand(ctx, dir, &out, args...); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, bytes.TrimSpace(out.Bytes()))
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	// "go: downloading ..." goes to the same place.
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "go: ") })
	return strings.Join(lines, "\n"), nil
}

func enoughSpace(ctx context.Context, module string) error {
	dir, err := output(ctx, module, "env", "GOCACHE")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return err
	}
	if free := int64(s.Bavail) * s.Bsize; free < room {
		return fmt.Errorf("the disk of %s has %d MB left, and compiling Kubernetes takes 1 GB, or 5 GB without a build cache: make "+
			"room, or set GOCACHE and XDG_CACHE_HOME to folders on another disk", dir, free>>20)
	}
	return nil
}

// sum returns a hash of the sources, the toolchain and the architecture.
func (s Source) sum(patterns []string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH)
	var files []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(s.Dir, pattern))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %x\n", filepath.Base(f), sha256.Sum256(b))
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

func lock(ctx context.Context, dir string, log io.Writer) (func(), error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !told {
			fmt.Fprintln(log, "another process compiles Kubernetes; waiting for it")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// progress counts the packages that `go build -v` prints, and keeps all other lines: the compiler's errors.
type progress struct {
	total, done int
	log         io.Writer
	next        time.Time
	rest        []byte
	said        []string
}

var packageLine = regexp.MustCompile(`^[\w.~-]+(/[\w.~-]+)*$`)

func (p *progress) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		i := bytes.IndexByte(p.rest, '\n')
		if i < 0 {
			break
		}
		line := string(p.rest[:i])
		p.rest = p.rest[i+1:]
		if packageLine.MatchString(line) {
			p.done++
		} else if !strings.HasPrefix(line, "go: downloading ") {
			p.said = append(p.said, line)
		}
	}
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(10 * time.Second)
		fmt.Fprintf(p.log, "compiled %d packages (of at most %d)\n", p.done, p.total)
	}
	return len(b), nil
}

func (p *progress) errors() string {
	return strings.Join(p.said[max(0, len(p.said)-10):], "\n")
}
