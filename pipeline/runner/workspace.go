package runner

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filelock"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
)

// A workspace is the folder in the user's cache where the jobs of a project work. A job has its checkout at the same path in
// every run, so Go's build cache, which knows packages by their paths, is hit.
type workspace struct{ dir string }

func openWorkspace(cacheDir, project string) workspace {
	return workspace{filepath.Join(cacheDir, "projects", plainName(filepath.Base(project))+"-"+shortHash(project))}
}

// plainName replaces characters that break scripts which do not quote paths; GitLab's paths do not have them.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r)) {
			return r
		}
		return '-'
	}, name)
}

func (w workspace) builds() string { return filepath.Join(w.dir, "builds") }

func (w workspace) lock(build string) string { return filepath.Join(w.dir, "locks", build) }

func (w workspace) caches() string { return filepath.Join(w.dir, "caches") }

// cacheHome returns the XDG_CACHE_HOME of jobs on this machine.
func (w workspace) cacheHome() string { return filepath.Join(w.dir, "cache-home") }

// A build is the folder of one job, CI_BUILDS_DIR, protected by a lock.
type build struct {
	root string
	// project is the checkout, CI_PROJECT_DIR.
	project string
	// temporary is the job's TMPDIR. It is not below root: paths of Unix sockets must be short.
	temporary string
	held      *filelock.Lock
}

// temporaryProject returns the folder of scripts and file-type variables, beside the checkout as in GitLab's runner.
func (b *build) temporaryProject() string { return b.project + ".tmp" }

// jobVariables returns the path of the file GITLAB_ENV.
func (b *build) jobVariables() string {
	return filepath.Join(b.temporaryProject(), "gitlab_runner_env")
}

// open locks a build folder for a job and empties it, except for another attempt of the same job, which keeps the files beside the checkout.
// If another run uses the job's usual folder, it takes the next one.
func (w workspace) open(slug, projectPath, tempDir string, again bool) (*build, error) {
	for i := 1; ; i++ {
		name := slug
		if i > 1 {
			name += "~" + strconv.Itoa(i)
		}
		held, err := filelock.Try(w.lock(name), true)
		if err != nil {
			return nil, err
		}
		if held == nil {
			continue
		}
		b := &build{root: filepath.Join(w.builds(), name), held: held}
		if !again {
			err = sweep(b.root, held)
		}
		if err = errors.Join(err, b.prepare(projectPath, tempDir)); err != nil {
			held.Unlock()
			return nil, err
		}
		return b, nil
	}
}

func (b *build) prepare(projectPath, tempDir string) error {
	b.project = filepath.Join(b.root, filepath.FromSlash(projectPath))
	// Containers make the job's files readable for all users; the folder above denies access to other users of this machine.
	if err := os.MkdirAll(filepath.Dir(b.root), 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(b.temporaryProject(), 0o700); err != nil {
		return err
	}
	temporary, err := makeTemporary(tempDir, b.root)
	if err != nil {
		return err
	}
	b.temporary = temporary
	// The next run that finds the lock free reads this and cleans up.
	return b.held.Write(temporary)
}

// makeTemporary creates the TMPDIR of a build. It has the same name in every run of the job, since results in Go's test cache depend on
// the value of each variable that a test reads; if the name is taken, it has another one.
func makeTemporary(tempDir, root string) (string, error) {
	if tempDir == "" {
		tempDir = os.TempDir()
	}
	sum := sha256.Sum256([]byte(root))
	name := filepath.Join(tempDir, "slipway-"+strconv.FormatUint(uint64(binary.BigEndian.Uint32(sum[:])), 10))
	// An interrupted run may have left it; the build's lock is held.
	_ = os.RemoveAll(name)
	if err := os.Mkdir(name, 0o700); err == nil {
		return name, nil
	}
	return os.MkdirTemp(tempDir, "slipway-")
}

// close removes the build; before another attempt of the job only its checkout.
func (b *build) close(again bool) error {
	remove := []string{b.temporary, b.root}
	if again {
		remove = []string{b.temporary, b.project, b.temporaryProject()}
	}
	err := b.held.Write("")
	for _, path := range remove {
		err = errors.Join(err, filetree.Remove(path))
	}
	b.held.Unlock()
	return err
}

// sweep removes the files that a killed process left in a build folder, whose lock is held.
func sweep(root string, held *filelock.Lock) error {
	temporary, err := held.Holder()
	if err != nil {
		return err
	}
	if strings.HasPrefix(filepath.Base(temporary), "slipway-") {
		if err := filetree.Remove(temporary); err != nil {
			return err
		}
	}
	return filetree.Remove(root)
}

// sweep removes the files that killed runs of the project left; builds in use are kept.
func (w workspace) sweep() {
	builds, err := os.ReadDir(w.builds())
	if err != nil {
		return
	}
	for _, b := range builds {
		held, err := filelock.Try(w.lock(b.Name()), true)
		if err != nil || held == nil {
			continue
		}
		// If this fails, the next job that needs the folder reports the error.
		if sweep(filepath.Join(w.builds(), b.Name()), held) == nil {
			_ = held.Write("")
		}
		held.Unlock()
	}
}
