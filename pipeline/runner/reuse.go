package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
)

// reuse settles the jobs that are not named with the results, artifacts and reports of the latest run in which they passed.
func (r *run) reuse() error {
	numbers, err := r.store.numbers()
	if err != nil {
		return err
	}
	named := map[*node]bool{}
	for _, name := range r.options.Named {
		for _, n := range r.graph.named(name) {
			named[n] = true
		}
	}
	for _, number := range slices.Backward(numbers) {
		if number == r.number {
			continue
		}
		recorded, err := r.store.load(number)
		if err != nil {
			continue
		}
		for _, state := range recorded.State.Jobs {
			for _, n := range r.named(state.Name) {
				if named[n] || n.job.Trigger != nil || n.state.Status != Created || state.Status != Success {
					continue
				}
				if err := r.takeResult(n, number, state); err != nil {
					return fmt.Errorf("take the result of %s from run %d: %w", state.Name, number, err)
				}
			}
		}
	}
	return nil
}

// takeResult copies the files of a job in another run, which may be removed at any time.
func (r *run) takeResult(n *node, number int, state JobState) error {
	from, to := filepath.Join(r.store.run(number), jobsFolder, state.Slug), r.folder(n.state.Slug)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := filetree.Copy(from, to); err != nil {
		return err
	}
	slug := n.state.Slug
	*n.state = state
	n.state.Slug, n.state.Reused = slug, number
	r.update(Note, n, fmt.Sprintf("taken from run %d", number))
	return nil
}
