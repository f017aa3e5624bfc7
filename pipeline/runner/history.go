package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filelock"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
)

// A Past is a run that is stored on disk.
type Past struct {
	Run    int       `json:"run"`
	Status RunStatus `json:"status"`
	// Title describes the run: event, ref, commit.
	Title    string     `json:"title"`
	Started  time.Time  `json:"started"`
	Finished time.Time  `json:"finished,omitzero"`
	Dir      string     `json:"dir"`
	Jobs     []JobState `json:"jobs"`
}

// Log returns the path of a job's log.
func (p Past) Log(job JobState) string { return filepath.Join(p.Dir, jobsFolder, job.Slug, logFile) }

// Named returns the jobs of a name: one, or all instances of a parallel one.
func (p Past) Named(name string) []JobState {
	var parts []JobState
	for _, j := range p.Jobs {
		if j.Name == name {
			return []JobState{j}
		}
		if j.BaseName == name {
			parts = append(parts, j)
		}
	}
	return parts
}

// History returns the runs of a project, the latest first.
func History(dir string) ([]Past, error) {
	s, err := storeOf(dir)
	if err != nil {
		return nil, err
	}
	numbers, err := s.numbers()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var runs []Past
	for _, number := range slices.Backward(numbers) {
		// The folder of a run that begins or is removed at this moment is incomplete.
		if past, err := s.past(number); err == nil {
			runs = append(runs, past)
		}
	}
	return runs, nil
}

// Find returns a run of a project, the latest if the number is 0.
func Find(dir string, number int) (Past, error) {
	runs, err := History(dir)
	switch {
	case err != nil:
		return Past{}, err
	case len(runs) == 0:
		return Past{}, errNoRun
	case number == 0:
		return runs[0], nil
	}
	var numbers []int
	for _, past := range slices.Backward(runs) {
		if past.Run == number {
			return past, nil
		}
		numbers = append(numbers, past.Run)
	}
	return Past{}, fmt.Errorf("there is no run %d; runs that are kept: %s", number, join(numbers))
}

func storeOf(dir string) (store, error) {
	project, err := filepath.Abs(dir)
	if err != nil {
		return store{}, err
	}
	if project, err = filepath.EvalSymlinks(project); err != nil {
		return store{}, err
	}
	return store{dir: stateFolderOf(project)}, nil
}

func (s store) past(number int) (Past, error) {
	recorded, err := s.load(number)
	if err != nil {
		return Past{}, err
	}
	status := recorded.State.Status
	if status == RunRunning && !s.alive(number) {
		status = RunInterrupted
	}
	return Past{
		Run: number, Status: status, Title: recorded.Definition.title(len(recorded.State.Jobs)), Started: recorded.State.Started,
		Finished: recorded.State.Finished, Dir: s.run(number), Jobs: recorded.State.Jobs,
	}, nil
}

// CleanOptions select what [Clean] removes besides runs that have ended.
type CleanOptions struct {
	// Dir is the project, CacheDir as in [Options].
	Dir, CacheDir string
	// Waiting also removes runs that wait for a person.
	Waiting bool
	// Caches also removes the jobs' caches.
	Caches bool
}

// Clean removes the files of a project's runs from this machine, and returns the numbers of the runs that it removed. Runs in
// progress stay.
func Clean(o CleanOptions) ([]int, error) {
	s, err := storeOf(o.Dir)
	if err != nil {
		return nil, err
	}
	cacheDir, err := CacheDir(o.CacheDir)
	if err != nil {
		return nil, err
	}
	numbers, err := s.numbers()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var removed []int
	for _, number := range numbers {
		held, err := filelock.Try(filepath.Join(s.run(number), "lock"), true)
		if err != nil || held == nil {
			continue
		}
		recorded, loadErr := s.load(number)
		if loadErr != nil || o.Waiting || recorded.State.Status != RunWaiting {
			err = filetree.Remove(s.run(number))
			removed = append(removed, number)
		}
		held.Unlock()
		if err != nil {
			return removed, err
		}
	}
	if latest := filepath.Join(s.runs(), "latest"); len(removed) > 0 {
		if _, err := os.Stat(latest); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(latest)
		}
	}
	work := openWorkspace(cacheDir, filepath.Dir(s.dir))
	work.sweep()
	if o.Caches {
		return removed, errors.Join(filetree.Remove(work.caches()), filetree.Remove(work.cacheHome()))
	}
	return removed, nil
}
