// Command engine measures slipway as a process beside gitlab-ci-local on the same files: this repository's pipeline, and
// synthetic ones of 100 to 1,000 jobs. Without Node.js, or if the package is unavailable, it measures slipway alone.
//
//	go -C test run ./bench/engine [-runs 10] [-slipway FILE]
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/git"
)

// gitlabCILocal is the other program's package: the newest version that Node.js 20 runs.
const gitlabCILocal = "gitlab-ci-local@4.61.1"

func main() {
	runs := flag.Int("runs", 10, "measured runs of each command, after one that warms up")
	slipway := flag.String("slipway", "", "slipway to measure; built from this clone if empty")
	project := flag.String("project", "", "the project whose pipeline is measured first; this repository if empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := bench(ctx, os.Stdout, *slipway, *project, max(1, *runs))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-engine:", err)
		os.Exit(1)
	}
}

// bench disables the schema validation of gitlab-ci-local, which is slow, and refuses `tags: []`, which GitLab accepts.
func bench(ctx context.Context, w io.Writer, slipway, project string, runs int) error {
	dir, err := os.MkdirTemp("", "bench-engine-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root, err := git.In("").Text(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	if project, err = filepath.Abs(cmp.Or(project, root)); err != nil {
		return err
	}
	if slipway == "" {
		slipway = filepath.Join(dir, "slipway")
		build := exec.CommandContext(ctx, "go", "-C", root, "build", "-trimpath", "-o", slipway, "./cmd/slipway")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build slipway: %w\n%s", err, out)
		}
	}
	rival, err := installRival(ctx)
	if err != nil {
		fmt.Fprintf(w, "gitlab-ci-local is not measured: %v\n\n", err)
	}
	// A clone, since gitlab-ci-local leaves files in the folder that it reads.
	clone := filepath.Join(dir, "clone")
	if _, err := git.In(dir).Output(ctx, "clone", "--quiet", "--shared", project, clone); err != nil {
		return err
	}
	subjects := []subject{{name: "this repository", dir: clone}}
	for _, jobs := range []int{100, 300, 1000} {
		path := filepath.Join(dir, fmt.Sprintf("jobs-%d", jobs))
		if err := synthesize(ctx, path, jobs); err != nil {
			return err
		}
		subjects = append(subjects, subject{fmt.Sprintf("%d jobs in 150 includes", jobs), path, jobs})
	}

	fmt.Fprintf(w, "median of %d runs after a warm one, wall clock of the whole process (CPU time in brackets)\n\n", runs)
	fmt.Fprintf(w, "%-26s %20s %20s %22s %8s\n", "", "slipway plan", "slipway lint", "gitlab-ci-local --list", "ratio")
	var xs, ys []float64
	var failures []error
	for _, p := range subjects {
		plan, err := measure(ctx, p.dir, runs, slipway, "plan", "--event", "push", "--branch", "main")
		if err != nil {
			return err
		}
		lint, err := measure(ctx, p.dir, runs, slipway, "lint")
		if err != nil {
			return err
		}
		if p.jobs > 0 {
			xs, ys = append(xs, float64(p.jobs)), append(ys, plan.wall.Seconds())
		}
		theirs, ratio := "-", "-"
		if rival != "" {
			list, err := measure(ctx, p.dir, runs, "node", rival, "--list", "--json-schema-validation=false")
			if err != nil {
				theirs = "fails"
				failures = append(failures, err)
			} else {
				theirs, ratio = list.String(), fmt.Sprintf("%.0fx", list.wall.Seconds()/plan.wall.Seconds())
			}
		}
		fmt.Fprintf(w, "%-26s %20s %20s %22s %8s\n", p.name, plan, lint, theirs, ratio)
	}
	for _, err := range failures {
		lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
		fmt.Fprintf(w, "\n%s\n%s\n", lines[0], lines[len(lines)-1])
	}
	fmt.Fprintf(w, "\ntime of plan grows with the number of jobs to the power of %.2f\n", exponent(xs, ys))
	return nil
}

// A subject is a project that is measured; jobs is 0 if it is not synthetic.
type subject struct {
	name, dir string
	jobs      int
}

// A timing is the median of what a process took.
type timing struct{ wall, cpu time.Duration }

func (t timing) String() string {
	return fmt.Sprintf("%.1f ms (%.1f)", float64(t.wall.Microseconds())/1000, float64(t.cpu.Microseconds())/1000)
}

// measure runs a command. Exit code 1 of lint is a success, too: it has findings.
func measure(ctx context.Context, dir string, runs int, name string, args ...string) (timing, error) {
	var walls, cpus []time.Duration
	for i := range runs + 1 {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "NO_COLOR=1")
		start := time.Now()
		out, err := cmd.CombinedOutput()
		wall := time.Since(start)
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || args[0] != "lint") {
			return timing{}, fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
		}
		if i == 0 {
			continue
		}
		walls = append(walls, wall)
		cpus = append(cpus, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	return timing{median(walls), median(cpus)}, nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// exponent is the slope of the least squares line through the logarithms.
func exponent(xs, ys []float64) float64 {
	var sx, sy, sxx, sxy float64
	for i := range xs {
		x, y := math.Log(xs[i]), math.Log(ys[i])
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	n := float64(len(xs))
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

// installRival puts the package into the cache folder, once, and returns its main file.
func installRival(ctx context.Context) (string, error) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("no %s on this machine", tool)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "slipway", "bench", gitlabCILocal)
	main := filepath.Join(dir, "node_modules", ".bin", "gitlab-ci-local")
	if _, err := os.Stat(main); err == nil {
		return main, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-fund", "--no-audit", "--loglevel=error", "--prefix", dir, gitlabCILocal)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install: %w\n%s", err, out)
	}
	return main, nil
}

// synthesize writes a project whose jobs are spread over 150 files that it includes, as teams of one monorepo would write
// them: templates to extend, rules, needs, variables.
func synthesize(ctx context.Context, dir string, jobs int) error {
	const files = 150
	if err := os.MkdirAll(filepath.Join(dir, "ci"), 0o755); err != nil {
		return err
	}
	var root strings.Builder
	root.WriteString("stages: [build, test, deploy]\ninclude:\n")
	for i := range files {
		fmt.Fprintf(&root, "  - local: /ci/part-%03d.yml\n", i)
		var part strings.Builder
		fmt.Fprintf(&part, ".base-%d:\n  image: golang:1.27.4\n  variables: {PART: %q}\n  before_script: [echo part]\n", i, fmt.Sprint(i))
		for j := i; j < jobs; j += files {
			fmt.Fprintf(&part, "job-%d:\n  extends: .base-%d\n  stage: %s\n  script: [make, make job-%d]\n", j, i, []string{"build", "test", "deploy"}[min(j/files, 2)], j)
			if j >= files {
				fmt.Fprintf(&part, "  needs: [{job: job-%d, optional: true}]\n", j-files)
			}
			part.WriteString("  rules:\n    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n")
		}
		if err := os.WriteFile(filepath.Join(dir, "ci", fmt.Sprintf("part-%03d.yml", i)), []byte(part.String()), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitlab-ci.yml"), []byte(root.String()), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"remote", "add", "origin", "git@gitlab.example.com:acme/app.git"},
		{"add", "."},
		{"-c", "user.name=Bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "-m", "synthetic"},
	} {
		if _, err := git.In(dir).Output(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}
