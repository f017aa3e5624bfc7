package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filelock"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/snapshot"
)

// stateFolder is the folder of all runs in a project.
const stateFolder = ".slipway"

func stateFolderOf(project string) string { return filepath.Join(project, stateFolder) }

// A store is the folder of a project's runs.
type store struct{ dir string }

// openStore creates .slipway in a project, and lets git ignore it.
func openStore(project string) (store, error) {
	s := store{stateFolderOf(project)}
	if err := os.MkdirAll(s.runs(), 0o700); err != nil {
		return store{}, fmt.Errorf("keep the state of runs: %w", err)
	}
	ignore := filepath.Join(s.dir, ".gitignore")
	if _, err := os.Stat(ignore); err == nil {
		return s, nil
	}
	if err := os.WriteFile(ignore, []byte("*\n"), 0o600); err != nil {
		return store{}, fmt.Errorf("keep the state of runs: %w", err)
	}
	return s, nil
}

func (s store) runs() string { return filepath.Join(s.dir, "runs") }

func (s store) run(number int) string { return filepath.Join(s.runs(), strconv.Itoa(number)) }

// resourceLock returns the lock file of a resource group.
func (s store) resourceLock(group string) string {
	return filepath.Join(s.dir, "resources", shortHash(group)+".lock")
}

// numbers returns the numbers of the existing runs, in ascending order.
func (s store) numbers() ([]int, error) {
	entries, err := os.ReadDir(s.runs())
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && e.IsDir() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// create creates the folder of a new run and locks it. Numbers ascend, also if several runs start at the same time.
func (s store) create() (number int, held *filelock.Lock, err error) {
	numbers, err := s.numbers()
	if err != nil {
		return 0, nil, err
	}
	if len(numbers) > 0 {
		number = numbers[len(numbers)-1]
	}
	for {
		number++
		err := os.Mkdir(s.run(number), 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		held, err := s.lock(number)
		if err != nil {
			return 0, nil, err
		}
		return number, held, s.link(number)
	}
}

// lock locks a run for this process.
func (s store) lock(number int) (*filelock.Lock, error) {
	path := filepath.Join(s.run(number), "lock")
	held, err := filelock.Try(path, true)
	if err != nil {
		return nil, err
	}
	if held == nil {
		holder, _ := os.ReadFile(path)
		return nil, fmt.Errorf("run %d is in progress in another process (%s): wait for it, or stop it with Ctrl-C", number, holder)
	}
	return held, held.Write(fmt.Sprintf("pid %d", os.Getpid()))
}

// alive reports whether a process holds the lock of a run.
func (s store) alive(number int) bool {
	if _, err := os.Stat(s.run(number)); err != nil {
		return false
	}
	held, err := filelock.Try(filepath.Join(s.run(number), "lock"), true)
	defer held.Unlock()
	return err == nil && held == nil
}

// link points runs/latest at a run.
func (s store) link(number int) error {
	temporary := filepath.Join(s.runs(), fmt.Sprintf(".latest-%d", number))
	if err := os.Symlink(strconv.Itoa(number), temporary); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Rename(temporary, filepath.Join(s.runs(), "latest"))
}

// prune removes old runs except for the last ones, those in progress, and those that wait for a person.
func (s store) prune(keep int) error {
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	for i, number := range numbers {
		if i >= len(numbers)-keep {
			break
		}
		held, err := filelock.Try(filepath.Join(s.run(number), "lock"), true)
		if err != nil || held == nil {
			continue
		}
		if r, err := s.load(number); err != nil || r.State.Status != RunWaiting {
			if err := filetree.Remove(s.run(number)); err != nil {
				held.Unlock()
				return err
			}
		}
		held.Unlock()
	}
	return nil
}

// A record is the content of a run's folder. The definition is written once, the state whenever it changes.
type record struct {
	Definition definition
	State      runState
}

// definition is what another process needs to continue a run.
type definition struct {
	Plan     *pipeline.Plan
	Sources  *snapshot.Snapshot
	Tools    string
	Executor string
	PassEnv  []string
	Hint     string
	// NoSandbox, Writable, Containers and GitLabRunner are those of [Options].
	NoSandbox    bool     `json:",omitempty"`
	Writable     []string `json:",omitempty"`
	Containers   ContainerOptions
	GitLabRunner string `json:",omitempty"`
	// WholeHistory is [Options.WholeHistory].
	WholeHistory bool `json:",omitempty"`
}

type runState struct {
	Status   RunStatus
	Started  time.Time
	Finished time.Time
	LastID   int
	Jobs     []JobState
}

const (
	definitionFile = "run.json"
	stateFile      = "state.json"
)

func (s store) load(number int) (record, error) {
	var r record
	if err := readJSON(filepath.Join(s.run(number), definitionFile), &r.Definition); err != nil {
		return record{}, fmt.Errorf("run %d: %w", number, err)
	}
	if err := readJSON(filepath.Join(s.run(number), stateFile), &r.State); err != nil {
		return record{}, fmt.Errorf("run %d: %w", number, err)
	}
	if r.Definition.Plan == nil || r.Definition.Sources == nil {
		return record{}, fmt.Errorf("run %d: %s is incomplete", number, definitionFile)
	}
	r.Definition.Sources.Dir = filepath.Join(s.run(number), sourcesFolder)
	return r, nil
}

func readJSON(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file so that a crash leaves the old or the new one. Only the owner may read it, since it can contain secrets.
func writeJSON(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "\t")
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(append(content, '\n'))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
