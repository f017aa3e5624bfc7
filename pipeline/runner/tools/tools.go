// Package tools builds the tools that a go.mod pins with `tool` directives, once for each set of versions.
package tools

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filelock"
)

// Options configure where tools are built.
type Options struct {
	// CacheDir is the folder below which every set of tools has its own.
	CacheDir string
	// Env is the environment of the go command.
	Env []string
	// Progress is called with each line of progress.
	Progress func(string)
}

// Build builds all tools of the go.mod in dir and returns the folder with the programs. A set that was built before, for any
// project, is reused; of two processes that need the same set, one builds it and the other waits.
func Build(ctx context.Context, dir string, options Options) (string, error) {
	if options.Progress == nil {
		options.Progress = func(string) {}
	}
	g := goCommand{dir: dir, env: options.Env}
	names, version, err := g.tools(ctx)
	if err != nil {
		return "", err
	}
	key, err := fingerprint(dir, version)
	if err != nil {
		return "", err
	}
	target := filepath.Join(options.CacheDir, "tools", key)
	if complete(target) {
		return target, nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return "", err
	}
	held, err := filelock.Wait(ctx, target+".lock", true, func() { options.Progress("tools: another process is building them") })
	if err != nil {
		return "", err
	}
	defer held.Unlock()
	if complete(target) {
		return target, nil
	}
	return target, g.build(ctx, target, names, options.Progress)
}

func complete(target string) bool {
	info, err := os.Stat(target)
	return err == nil && info.IsDir()
}

// fingerprint identifies a set of tools: by the versions in go.mod and go.sum, and the version of Go.
func fingerprint(dir, version string) (string, error) {
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && (name != "go.sum" || !errors.Is(err, fs.ErrNotExist)) {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", name, len(content), content)
	}
	fmt.Fprintln(h, version)
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// A goCommand runs go in the tools' module, regardless of the machine's GOFLAGS and workspaces.
type goCommand struct {
	dir string
	env []string
}

func (g goCommand) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "go", args...)
	c.Dir = g.dir
	// -mod=readonly is Go's default, and more than empty: an empty GOFLAGS would let those of `go env -w` through. With -trimpath, what is
	// compiled here is also what a build elsewhere, in a container for example, finds in Go's cache.
	c.Env = append(slices.Clone(g.env), "GOFLAGS=-mod=readonly -trimpath", "GOWORK=off", "CGO_ENABLED=0", "GO111MODULE=on")
	// Interrupted, so that it can remove its temporary files; killed if that takes too long.
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 5 * time.Second
	return c
}

// tools returns the packages of the tools, and Go's version and platform.
func (g goCommand) tools(ctx context.Context) (packages []string, version string, err error) {
	if _, err := exec.LookPath("go"); err != nil {
		return nil, "", errors.New("go is not installed: the project's tools are built with it (https://go.dev/dl)")
	}
	out, err := output(g.command(ctx, "mod", "edit", "-json"))
	if err != nil {
		return nil, "", err
	}
	var module struct{ Tool []struct{ Path string } }
	if err := json.Unmarshal(out, &module); err != nil {
		return nil, "", fmt.Errorf("go mod edit -json: %w", err)
	}
	for _, t := range module.Tool {
		packages = append(packages, t.Path)
	}
	if len(packages) == 0 {
		return nil, "", fmt.Errorf("%s has no tool directive: add one with `go get -tool PACKAGE@VERSION`", filepath.Join(g.dir, "go.mod"))
	}
	out, err = output(g.command(ctx, "env", "GOVERSION", "GOOS", "GOARCH"))
	return packages, string(out), err
}

func output(c *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// build installs the tools into a temporary folder that then becomes target.
func (g goCommand) build(ctx context.Context, target string, packages []string, progress func(string)) error {
	temporary, err := os.MkdirTemp(filepath.Dir(target), "building-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	begun := time.Now()
	progress(fmt.Sprintf("tools: building %s (once for these versions)", strings.Join(programs(packages), ", ")))
	c := g.command(ctx, append([]string{"install"}, packages...)...)
	c.Env = append(c.Env, "GOBIN="+temporary)
	var log bytes.Buffer
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		return err
	}
	finished := make(chan error, 1)
	go func() { finished <- c.Wait() }()
	seen := map[string]bool{}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			reportNew(temporary, seen, begun, progress)
			continue
		case err = <-finished:
		}
		break
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if old := g.tooOld(log.String()); old != nil {
			return old
		}
		return fmt.Errorf("build the tools of %s: %w\n%s", filepath.Join(g.dir, "go.mod"), err, strings.TrimSpace(log.String()))
	}
	reportNew(temporary, seen, begun, progress)
	return os.Rename(temporary, target)
}

var goVersions = lazyregexp.New(`requires go >= (\S+) \(running go (\S+); GOTOOLCHAIN=(\S+)\)`)

// tooOld returns an error with advice if the go command has refused a module that requires a newer one; otherwise nil.
func (g goCommand) tooOld(said string) error {
	m := goVersions().FindStringSubmatch(said)
	if m == nil {
		return nil
	}
	return fmt.Errorf("%s needs Go %s, this is Go %s, and GOTOOLCHAIN=%s keeps it from fetching a newer one: "+
		"install Go %s, or export GOTOOLCHAIN=auto",
		filepath.Join(g.dir, "go.mod"), m[1], m[2], m[3], m[1])
}

// reportNew reports the programs that were added since its last call.
func reportNew(dir string, seen map[string]bool, begun time.Time, progress func(string)) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !seen[e.Name()] && !strings.HasSuffix(e.Name(), "-go-tmp-umask") {
			seen[e.Name()] = true
			progress(fmt.Sprintf("tools: %s is ready after %.0fs", e.Name(), time.Since(begun).Seconds()))
		}
	}
}

var majorVersion = lazyregexp.New(`^v[0-9]+$`)

// programs returns the names of the programs of packages.
func programs(packages []string) []string {
	names := make([]string, len(packages))
	for i, p := range packages {
		names[i] = path.Base(p)
		if majorVersion().MatchString(names[i]) {
			names[i] = path.Base(path.Dir(p))
		}
	}
	return names
}
