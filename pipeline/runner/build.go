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

// A workshop is the folder in the user's cache where jobs of a project work. A job finds its checkout at the same path in
// every run, so what Go remembers of compiled packages by their paths is found again.
type workshop struct{ dir string }

func openWorkshop(cacheDir, project string) workshop {
	return workshop{filepath.Join(cacheDir, "projects", plainName(filepath.Base(project))+"-"+shortHash(project))}
}

// plainName replaces what scripts that forget to quote a path would trip over; GitLab's paths have none of it.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r)) {
			return r
		}
		return '-'
	}, name)
}

func (w workshop) builds() string { return filepath.Join(w.dir, "builds") }

func (w workshop) lock(build string) string { return filepath.Join(w.dir, "locks", build) }

func (w workshop) caches() string { return filepath.Join(w.dir, "caches") }

// cacheHome is the XDG_CACHE_HOME of jobs on this machine.
func (w workshop) cacheHome() string { return filepath.Join(w.dir, "cache-home") }

// A build is where one job works, CI_BUILDS_DIR, held by a lock.
type build struct {
	root string
	// project is the checkout, CI_PROJECT_DIR.
	project string
	// temporary is the job's TMPDIR. It is not below root: paths of Unix sockets must be short.
	temporary string
	held      *filelock.Lock
}

// temporaryProject is the folder of scripts and file-type variables, beside the checkout as in GitLab's runner.
func (b *build) temporaryProject() string { return b.project + ".tmp" }

// jobVariables is the file GITLAB_ENV.
func (b *build) jobVariables() string {
	return filepath.Join(b.temporaryProject(), "gitlab_runner_env")
}

// open takes a build folder for a job and empties it, unless it is for another attempt of the same job: what that left beside its
// checkout exists again. Another run may be using the job's usual one.
func (w workshop) open(slug, projectPath, tempDir string, again bool) (*build, error) {
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
	// Containers open the job's files to all users; the folder above keeps those of this machine out.
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
	// Whoever finds the lock free can clean up.
	return b.held.Write(temporary)
}

// makeTemporary makes the TMPDIR of a build. Its name is the same in every run of the job, since Go's test cache keeps results for
// the value of each variable that a test reads; if the name is taken, another one is used.
func makeTemporary(tempDir, root string) (string, error) {
	if tempDir == "" {
		tempDir = os.TempDir()
	}
	sum := sha256.Sum256([]byte(root))
	name := filepath.Join(tempDir, "slipway-"+strconv.FormatUint(uint64(binary.BigEndian.Uint32(sum[:])), 10))
	// What an interrupted run of this build left; the build's lock is held.
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

// sweep removes what a killed process left in a build folder, whose lock is held.
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

// sweep removes what killed runs of the project left; builds in use are left alone.
func (w workshop) sweep() {
	builds, err := os.ReadDir(w.builds())
	if err != nil {
		return
	}
	for _, b := range builds {
		held, err := filelock.Try(w.lock(b.Name()), true)
		if err != nil || held == nil {
			continue
		}
		// What cannot be removed now fails with a message when a job needs the folder.
		if sweep(filepath.Join(w.builds(), b.Name()), held) == nil {
			_ = held.Write("")
		}
		held.Unlock()
	}
}
