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

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// podmanImage is the image that the tests make of busybox, so that no registry is needed.
const podmanImage = "localhost/slipway/busybox:test"

// A podmanStore is a storage of images of a test's own.
type podmanStore struct {
	t   *testing.T
	dir string
	env []string
}

// newPodmanStore makes a storage with podmanImage. The test is skipped where podman or busybox is missing, or fails with
// SLIPWAY_REQUIRE_PODMAN.
func newPodmanStore(t *testing.T) *podmanStore {
	t.Helper()
	unavailable := t.Skip
	if os.Getenv("SLIPWAY_REQUIRE_PODMAN") != "" {
		unavailable = t.Fatal
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		unavailable(err)
	}
	if _, err := exec.LookPath("podman"); err != nil {
		unavailable(err)
	}
	// The paths of sockets below it must be short.
	dir, err := os.MkdirTemp("", "podman-")
	if err != nil {
		t.Fatal(err)
	}
	s := &podmanStore{t: t, dir: dir}
	t.Cleanup(s.remove)
	// What podman raises by default is too much for a machine that is a container, and such a one has no systemd.
	engine := "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"
	settings := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(dir, "images"), filepath.Join(dir, "run"))
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "storage.conf"), []byte(settings), 0o600),
		os.WriteFile(filepath.Join(dir, "containers.conf"), []byte(engine), 0o600), os.Mkdir(filepath.Join(dir, "runtime"), 0o700)); err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), "CONTAINERS_STORAGE_CONF="+filepath.Join(dir, "storage.conf"), "CONTAINERS_CONF="+filepath.Join(dir, "containers.conf"),
		"XDG_RUNTIME_DIR="+filepath.Join(dir, "runtime"))
	rootfs, err := busyboxArchive(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.podman(rootfs, "import", "--change", "EXPOSE 8080", "-", podmanImage); err != nil {
		unavailable(fmt.Sprintf("podman import: %v\n%s", err, out))
	}
	return s
}

func (s *podmanStore) podman(stdin io.Reader, args ...string) (string, error) {
	command := exec.Command("podman", args...)
	command.Env, command.Stdin = s.env, stdin
	out, err := command.CombinedOutput()
	return string(out), err
}

// remove removes the storage, in which without root some files belong to subordinate users.
func (s *podmanStore) remove() {
	if os.Getuid() != 0 {
		_, _ = s.podman(nil, "unshare", "rm", "-rf", filepath.Join(s.dir, "images"))
		// It ends the process that keeps the user's namespace.
		_, _ = s.podman(nil, "system", "migrate")
	}
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Error(err)
	}
}

// busyboxArchive is the file system of an image in which busybox is every command.
func busyboxArchive(busybox string) (io.Reader, error) {
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
	s := newPodmanStore(t)
	in := func(i pipeline.Image) func(*pipeline.Job) {
		i.Name = podmanImage
		return inImage(i)
	}
	newPodmanProject := func(t *testing.T) *project {
		p := newProject(t, nil)
		p.options.Executor, p.options.Env = "podman", s.env
		p.options.Containers = ContainerOptions{PullPolicy: "never", Network: "none"}
		return p
	}
	t.Run("jobs", func(t *testing.T) {
		p := newPodmanProject(t)
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
	t.Run("a job that is canceled", func(t *testing.T) {
		p := newPodmanProject(t)
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
		if out, err := s.podman(nil, "ps", "--all", "--quiet"); err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("containers are left: %s (%v)", out, err)
		}
	})
	t.Run("services", func(t *testing.T) {
		if tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err == nil {
			tun.Close()
		} else if os.Getuid() != 0 {
			t.Skip("rootless networks need it: ", err)
		}
		p := newPodmanProject(t)
		p.options.Containers.Network = ""
		r, err := Run(t.Context(), planOf(job("j", "wget -q -O - http://web:8080/page; wget -q -O - http://localhost-slipway-busybox:8080/page", in(pipeline.Image{}), variables("TEXT=of the service"),
			func(j *pipeline.Job) {
				j.Services = []pipeline.Image{{Name: podmanImage, Alias: "web", Entrypoint: []string{"sh", "-c"},
					Command: []string{`echo "$TEXT" >/tmp/page; exec httpd -f -p 8080 -h /tmp`}}}
			})), p.options)
		if err != nil {
			t.Fatal(err)
		}
		p.want(r, RunSuccess, "j: success")
		p.wantLog(r, "j", "of the service")
		if out, err := s.podman(nil, "network", "ls", "--quiet"); err != nil || strings.Contains(out, "slipway-") {
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
