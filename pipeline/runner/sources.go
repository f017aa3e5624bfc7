package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/git"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/snapshot"
)

// defaultDepth is GIT_DEPTH if it is not set.
const defaultDepth = 20

// getSources fills the project's folder as the variables GIT_* request.
func (a *attempt) getSources(ctx context.Context) error {
	if a.env.variables["GIT_CLONE_PATH"] != "" {
		return &jobError{0, errors.New("GIT_CLONE_PATH is not allowed: a runner must have custom_build_dir enabled for it")}
	}
	if err := a.checkPath(); err != nil {
		return err
	}
	switch strategy := a.env.variables["GIT_STRATEGY"]; strategy {
	case "none", "empty":
		a.logf("No sources (GIT_STRATEGY: %s)", strategy)
		return nil
	}
	sources := a.run.definition.Sources
	changed := ""
	if sources.Changed {
		changed = " with uncommitted changes"
	}
	a.logf("Checking out %s%s", sources.Commit[:8], changed)
	if err := sources.Checkout(ctx, a.build.project, a.checkoutOptions()); err != nil {
		return gitFailure(err)
	}
	if err := a.clean(ctx); err != nil {
		return gitFailure(err)
	}
	return a.submodules(ctx)
}

// clean runs git clean with GIT_CLEAN_FLAGS. There is nothing to clean in a checkout of the job's own, but flags that git does not
// know fail the job, as they do with GitLab's runner.
func (a *attempt) clean(ctx context.Context) error {
	flags := strings.Fields(a.env.variables["GIT_CLEAN_FLAGS"])
	if len(flags) == 0 || slices.Equal(flags, []string{"none"}) {
		return nil
	}
	_, err := git.Command{Dir: a.build.project, Env: a.run.machine}.Text(ctx, append([]string{"clean"}, flags...)...)
	return err
}

// gitFailure turns the failure of a git command into a failure of the job, as GitLab's runner does, unless the machine has failed.
func gitFailure(err error) error {
	failed, isExit := errors.AsType[*exec.ExitError](err)
	if !isExit || isMachineError(err) {
		return err
	}
	return &jobError{failed.ExitCode(), err}
}

// checkPath fails a job whose PATH has no commands: GitLab's runner needs them before the script.
func (a *attempt) checkPath() error {
	path, set := a.env.variables["PATH"]
	if !set {
		return nil
	}
	for _, folder := range filepath.SplitList(path) {
		if _, err := exec.LookPath(filepath.Join(folder, "mkdir")); err == nil {
			return nil
		}
	}
	return &jobError{127, fmt.Errorf("the variable PATH is %q, where the shell finds no commands", path)}
}

func (a *attempt) checkoutOptions() snapshot.CheckoutOptions {
	variables := a.env.variables
	event := a.node.graph.plan.Event
	o := snapshot.CheckoutOptions{
		Pipeline: a.pipelineID, Depth: defaultDepth, Env: a.run.machine, Tag: event.Tag, URL: a.predefinedValue("CI_PROJECT_URL"),
	}
	if event.Tag == "" && event.MergeRequestInfo == nil {
		o.Branch = cmp.Or(event.Branch, a.predefinedValue("CI_DEFAULT_BRANCH"))
	}
	if o.URL != "" {
		o.URL += ".git"
	}
	if depth, err := strconv.Atoi(variables["GIT_DEPTH"]); err == nil && depth >= 0 {
		o.Depth = depth
	}
	if a.run.definition.WholeHistory {
		o.Depth = 0
	}
	if flags, given := variables["GIT_FETCH_EXTRA_FLAGS"]; given {
		o.FetchFlags = append(strings.Fields(flags), "--quiet")
	}
	if checkout, err := strconv.ParseBool(variables["GIT_CHECKOUT"]); err == nil && !checkout {
		o.NoFiles = true
	}
	return o
}

// submodules checks out the submodules as GIT_SUBMODULE_STRATEGY requests.
func (a *attempt) submodules(ctx context.Context) error {
	variables := a.env.variables
	strategy := variables["GIT_SUBMODULE_STRATEGY"]
	switch strategy {
	case "", "none":
		return nil
	case "normal", "recursive":
	default:
		return fmt.Errorf("GIT_SUBMODULE_STRATEGY is %q: write none, normal or recursive", strategy)
	}
	a.logf("Updating submodules (%s)", strategy)
	update := snapshot.Submodules{
		Project: a.run.project, Recursive: strategy == "recursive", Depth: a.checkoutOptions().Depth,
		Paths: strings.Fields(variables["GIT_SUBMODULE_PATHS"]), Flags: strings.Fields(variables["GIT_SUBMODULE_UPDATE_FLAGS"]), Env: a.run.machine,
	}
	if depth, err := strconv.Atoi(variables["GIT_SUBMODULE_DEPTH"]); err == nil && !a.run.definition.WholeHistory {
		update.Depth = depth
	}
	return gitFailure(update.Update(ctx, a.build.project))
}

// predefinedValue returns the value of a variable that GitLab sets, even if the job's configuration overrides it.
func (a *attempt) predefinedValue(name string) string {
	return a.node.graph.predefined(name)
}

// hasProject reports whether the project's folder exists.
func (b *build) hasProject() bool {
	_, err := os.Stat(b.project)
	return err == nil
}
