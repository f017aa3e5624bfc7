package runner

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// engineImage is the image that the tests make of busybox, so that no registry is needed.
const engineImage = "localhost/slipway/busybox:test"

// A realEngine is docker or podman with images of a test's own.
type realEngine struct {
	t *testing.T
	// name is the command, dir the folder of the images, env the environment that leads to them.
	name, dir string
	env       []string
}

// newEngine makes a folder for an engine's images. The test is skipped where a program is missing, or fails with SLIPWAY_REQUIRE_ and
// the engine's name.
func newEngine(t *testing.T, name string, programs ...string) *realEngine {
	t.Helper()
	e := &realEngine{t: t, name: name}
	for _, program := range append(programs, name, "busybox") {
		if _, err := exec.LookPath(program); err != nil {
			e.unavailable(err)
		}
	}
	// The paths of sockets below it must be short.
	dir, err := os.MkdirTemp("", name+"-")
	if err != nil {
		t.Fatal(err)
	}
	e.dir = dir
	return e
}

// unavailable ends the test: the engine cannot be used here.
func (e *realEngine) unavailable(reason any) {
	e.t.Helper()
	if os.Getenv("SLIPWAY_REQUIRE_"+strings.ToUpper(e.name)) != "" {
		e.t.Fatal(reason)
	}
	e.t.Skip(reason)
}

func newPodman(t *testing.T) *realEngine {
	t.Helper()
	e := newEngine(t, "podman")
	t.Cleanup(func() {
		if os.Getuid() != 0 { // some files belong to subordinate users
			_, _ = e.command(nil, "unshare", "rm", "-rf", filepath.Join(e.dir, "images"))
			// It ends the process that keeps the user's namespace.
			_, _ = e.command(nil, "system", "migrate")
		}
		if err := os.RemoveAll(e.dir); err != nil {
			t.Error(err)
		}
	})
	// What podman raises by default is too much for a machine that is a container, and such a one has no systemd.
	settings := "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"
	storage := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(e.dir, "images"), filepath.Join(e.dir, "run"))
	if err := errors.Join(os.WriteFile(filepath.Join(e.dir, "storage.conf"), []byte(storage), 0o600),
		os.WriteFile(filepath.Join(e.dir, "containers.conf"), []byte(settings), 0o600), os.Mkdir(filepath.Join(e.dir, "runtime"), 0o700)); err != nil {
		t.Fatal(err)
	}
	e.env = append(os.Environ(), "CONTAINERS_STORAGE_CONF="+filepath.Join(e.dir, "storage.conf"), "CONTAINERS_CONF="+filepath.Join(e.dir, "containers.conf"),
		"XDG_RUNTIME_DIR="+filepath.Join(e.dir, "runtime"))
	e.importImage()
	return e
}

// newDocker starts a Docker engine that leaves the machine's network alone.
func newDocker(t *testing.T) *realEngine {
	t.Helper()
	e := newEngine(t, "docker", "dockerd")
	if os.Getuid() != 0 {
		e.unavailable("only root can start dockerd")
	}
	socket := "unix://" + filepath.Join(e.dir, "socket")
	log, err := os.Create(filepath.Join(e.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("dockerd", "--host", socket, "--data-root", filepath.Join(e.dir, "images"), "--exec-root", filepath.Join(e.dir, "run"),
		"--pidfile", filepath.Join(e.dir, "pid"), "--iptables=false", "--ip6tables=false", "--bridge=none")
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(daemon.Process.Signal(syscall.SIGTERM), daemon.Wait(), log.Close(), os.RemoveAll(e.dir)); err != nil {
			t.Error(err)
		}
	})
	e.env = append(os.Environ(), "DOCKER_HOST="+socket, "DOCKER_CONTEXT=")
	for begin := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		if _, err := e.command(nil, "info"); err == nil {
			break
		}
		if time.Since(begin) > time.Minute {
			text, err := os.ReadFile(log.Name())
			e.unavailable(fmt.Sprintf("dockerd does not answer: %v\n%s", err, text))
		}
	}
	e.importImage()
	return e
}

// importImage makes engineImage.
func (e *realEngine) importImage() {
	e.t.Helper()
	rootfs, err := busyboxArchive()
	if err != nil {
		e.t.Fatal(err)
	}
	if out, err := e.command(rootfs, "import", "--change", "EXPOSE 8080", "-", engineImage); err != nil {
		e.unavailable(fmt.Sprintf("%s import: %v\n%s", e.name, err, out))
	}
}

func (e *realEngine) command(stdin io.Reader, args ...string) (string, error) {
	command := exec.Command(e.name, args...)
	command.Env, command.Stdin = e.env, stdin
	out, err := command.CombinedOutput()
	return string(out), err
}

// busyboxArchive is the file system of an image in which busybox is every command.
func busyboxArchive() (io.Reader, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(header tar.Header, content []byte) {
		header.Size = int64(len(content))
		err = errors.Join(err, w.WriteHeader(&header))
		_, writeErr := w.Write(content)
		err = errors.Join(err, writeErr)
	}
	add(tar.Header{Name: "root/", Typeflag: tar.TypeDir, Mode: 0o700}, nil)
	for _, dir := range []string{"bin/", "etc/", "tmp/"} {
		add(tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, program)
	for _, name := range []string{"cat", "chown", "echo", "httpd", "id", "kill", "ls", "mkdir", "rm", "sh", "sleep", "test", "touch", "tr", "true", "wget"} {
		add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	return &out, errors.Join(err, w.Close())
}

// TestPodman runs jobs in real containers. Without root they are rootless, whose files can belong to subordinate users.
func TestPodman(t *testing.T) {
	t.Parallel()
	testEngine(t, newPodman(t))
}

// TestDocker runs the same jobs with docker.
func TestDocker(t *testing.T) {
	t.Parallel()
	testEngine(t, newDocker(t))
}

func testEngine(t *testing.T, e *realEngine) {
	t.Helper()
	in := func(i pipeline.Image) func(*pipeline.Job) {
		i.Name = engineImage
		return inImage(i)
	}
	newEngineProject := func(t *testing.T) *project {
		p := newProject(t, nil)
		p.options.Executor, p.options.Env = e.name, e.env
		p.options.Containers = ContainerOptions{PullPolicy: "never", Network: "none"}
		return p
	}
	t.Run("jobs", func(t *testing.T) {
		p := newEngineProject(t)
		r, err := Run(t.Context(), planOf(
			job("build", `cat README; id -u; echo "$VALUE"; mkdir -m 700 out; echo made >out/file; test ! -e /etc/passwd`, in(pipeline.Image{}),
				variables("VALUE=two 'words'"), artifacts(pipeline.Artifacts{Paths: []string{"out"}}),
				func(j *pipeline.Job) { j.AfterScript = []string{"echo after $CI_JOB_STATUS"} }),
			job("use", "id -u; cat out/file; echo more >>out/file; echo of another >own; exit 3", stage("next"), in(pipeline.Image{Docker: map[string]any{"user": "1234"}}),
				artifacts(pipeline.Artifacts{Paths: []string{"out", "own"}, When: "always"}))), p.options)
		if err != nil {
			t.Fatal(err)
		}
		p.wantLog(r, "build", "a project", "0", "two 'words'", "after success")
		p.wantLog(r, "use", "1234", "made")
		if got := state(r, "use"); got.Status != Failed || got.ExitCode != 3 {
			t.Errorf("use: %+v", got)
		}
		// What another user has written in the container is the caller's outside.
		for name, want := range map[string]string{"out/file": "made\nmore\n", "own": "of another\n"} {
			if content, err := os.ReadFile(filepath.Join(r.Dir, jobsFolder, "use", artifactsFolder, name)); string(content) != want {
				t.Errorf("%s: %q, %v", name, content, err)
			}
		}
	})
	t.Run("files in root's home, for an image's other user", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("only root has its files there")
		}
		home, err := os.MkdirTemp("/root", "slipway-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(home); err != nil {
				t.Error(err)
			}
		})
		p := newEngineProject(t)
		p.options.CacheDir = filepath.Join(home, "cache")
		withUser := "localhost/slipway/busybox:user"
		rootfs, err := busyboxArchive()
		if err != nil {
			t.Fatal(err)
		}
		if out, err := e.command(rootfs, "import", "--change", "USER 1234", "-", withUser); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		r, err := Run(t.Context(), planOf(
			job("of-the-job", "id -u; cat README", in(pipeline.Image{Docker: map[string]any{"user": "1234:1234"}})),
			job("of-the-image", "id -u; cat README", inImage(pipeline.Image{Name: withUser})),
			job("root", "id -u; cat README", in(pipeline.Image{}))), p.options)
		if err != nil {
			t.Fatal(err)
		}
		p.want(r, RunSuccess, "of-the-job: success", "of-the-image: success", "root: success")
		p.wantLog(r, "of-the-job", "1234", "a project")
		p.wantLog(r, "of-the-image", "1234", "a project")
		p.wantLog(r, "root", "0", "a project")
	})
	t.Run("a job that is canceled", func(t *testing.T) {
		p := newEngineProject(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p.options.Output = true
		p.options.Observe = func(u Update) {
			if u.Kind == JobOutput && u.Message == "ready" {
				cancel()
			}
		}
		r, err := Run(ctx, planOf(job("j", "trap 'echo trapped; exit 0' TERM; echo ready; while :; do sleep 0.1; done", in(pipeline.Image{}))), p.options)
		if err != nil {
			t.Fatal(err)
		}
		p.wantLog(r, "j", "trapped")
		if out, err := e.command(nil, "ps", "--all", "--quiet"); err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("containers are left: %s (%v)", out, err)
		}
	})
	t.Run("services", func(t *testing.T) {
		if tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err == nil {
			tun.Close()
		} else if os.Getuid() != 0 {
			t.Skip("rootless networks need it: ", err)
		}
		p := newEngineProject(t)
		p.options.Containers.Network = ""
		r, err := Run(t.Context(), planOf(job("j", "wget -q -O - http://web:8080/page; wget -q -O - http://localhost-slipway-busybox:8080/page", in(pipeline.Image{}), variables("TEXT=of the service"),
			func(j *pipeline.Job) {
				j.Services = []pipeline.Image{{Name: engineImage, Alias: "web", Entrypoint: []string{"sh", "-c"},
					Command: []string{`echo "$TEXT" >/tmp/page; exec httpd -f -p 8080 -h /tmp`}}}
			})), p.options)
		if err != nil {
			t.Fatal(err)
		}
		p.want(r, RunSuccess, "j: success")
		p.wantLog(r, "j", "of the service")
		if out, err := e.command(nil, "network", "ls", "--format", "{{.Name}}"); err != nil || strings.Contains(out, "slipway-") {
			t.Errorf("networks are left: %s (%v)", out, err)
		}
	})
}

// TestRootlessPodman repeats TestPodman as a user without rights, where the tests run as root: SLIPWAY_ROOTLESS_USER is the name of one that
// has subordinate ids.
func TestRootlessPodman(t *testing.T) {
	t.Parallel()
	name := os.Getenv("SLIPWAY_ROOTLESS_USER")
	if os.Getuid() != 0 || name == "" {
		t.Skip("not root, so TestPodman is rootless; or no user in SLIPWAY_ROOTLESS_USER")
	}
	account, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, errUID := strconv.Atoi(account.Uid)
	gid, errGID := strconv.Atoi(account.Gid)
	// Not in TMPDIR: in a job that is a folder for root alone.
	home, err := os.MkdirTemp(account.HomeDir, "runner-")
	if err := errors.Join(err, errUID, errGID); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(home, "runner.test")
	writeProgram(t, binary, string(program))
	if err := os.Chown(home, uid, gid); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary, "-test.run=^TestPodman$", "-test.v", "-test.timeout=5m")
	command.Dir = home
	command.Env = []string{
		"HOME=" + home, "TMPDIR=" + home, "USER=" + name, "LOGNAME=" + name, "SLIPWAY_REQUIRE_PODMAN=1",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	out, err := command.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestPodman ")) {
		t.Error(err)
	}
}
