package executor

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/supervise"
)

// A sandbox is a command line that runs another one with a disk that is read-only outside of the given folders; it is empty if
// bubblewrap is missing or does not work.
type sandbox []string

// newSandbox returns a sandbox in which temporary folders and the given ones are writable.
func newSandbox(ctx context.Context, writable []string) sandbox {
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		return nil
	}
	s := sandbox{bwrap, "--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc"}
	s = s.writable(append([]string{"/tmp", "/var/tmp", os.TempDir()}, writable...)...)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for range supervise.StartAttempts {
		if exec.CommandContext(ctx, s[0], append(s[1:], "true")...).Run() == nil {
			return s
		}
	}
	return nil
}

// writable adds writable folders. Those that do not exist are skipped.
func (s sandbox) writable(folders ...string) sandbox {
	for _, folder := range folders {
		path, err := filepath.EvalSymlinks(folder)
		if err != nil || !filepath.IsAbs(path) {
			continue
		}
		s = append(s, "--bind", path, path)
	}
	return s
}

// job returns the sandbox of one job: its folders are writable, and the user's ~/.ssh is the job's.
func (s sandbox) job(j Job, cacheHome, userHome string) sandbox {
	if len(s) == 0 {
		return nil
	}
	s = s[:len(s):len(s)].writable(j.Root, j.Temporary, j.Sources, cacheHome)
	if ssh, err := filepath.EvalSymlinks(filepath.Join(userHome, ".ssh")); err == nil && userHome != "" {
		s = append(s, "--bind", filepath.Join(j.Root, "home", ".ssh"), ssh)
	}
	return s
}

// A readOnlyDetector passes a script's output on, and detects messages that the disk is read-only.
type readOnlyDetector struct {
	io.Writer
	seen bool
}

func (d *readOnlyDetector) Write(p []byte) (int, error) {
	d.seen = d.seen || bytes.Contains(p, []byte("Read-only file system")) || bytes.Contains(p, []byte("read-only file system"))
	return d.Writer.Write(p)
}

// folders returns the writable folders as a text.
func (s sandbox) folders() string {
	var folders []string
	for i, arg := range s {
		if arg == "--bind" && s[i+1] != "/proc" {
			folders = append(folders, s[i+2])
		}
	}
	return strings.Join(folders, ", ")
}
