package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command that people see has a line about itself and examples.
func TestCommandsHaveHelp(t *testing.T) {
	t.Parallel()
	root := newRoot("")
	root.InitDefaultCompletionCmd()
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			visit(child)
		}
		if cmd.Hidden || cmd.Name() == "completion" || cmd.HasParent() && cmd.Parent().Name() == "completion" {
			return
		}
		if cmd.Short == "" {
			t.Errorf("%s says nothing about itself", cmd.CommandPath())
		}
		if cmd.Runnable() && cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
	}
	visit(root)
}

// TestRootOfOneCommand holds that each command is made under its name, alone.
func TestRootOfOneCommand(t *testing.T) {
	t.Parallel()
	all := newRoot("").Commands()
	for _, want := range all {
		if got := newRoot(want.Name()).Commands(); len(got) != 1 || got[0].Name() != want.Name() {
			t.Errorf("%s is not what is made for its name", want.Name())
		}
	}
	for _, args := range []string{"", "help", "--help", "plans"} {
		t.Run(fmt.Sprintf("%q", args), func(t *testing.T) {
			if got := newRoot(args).Commands(); len(got) != len(all) {
				t.Errorf("for %q there are %d of %d commands", args, len(got), len(all))
			}
		})
	}
}

func TestHelpAndCompletionWork(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"help", "plan"}, {"plan", "--help"}, {"completion", "bash"}, {"completion", "zsh"}, {"completion", "fish"}} {
		t.Run(strings.Join(append([]string{"slipway"}, args...), " "), func(t *testing.T) {
			code, stdout, stderr := command(t, args...)
			if code != 0 || !strings.Contains(stdout, "slipway") || stderr != "" {
				t.Errorf("slipway %s: exit code %d, %d bytes, %s", strings.Join(args, " "), code, len(stdout), stderr)
			}
		})
	}
}

// A page that is piped into a program has no colours, whatever the terminal.
func TestOutputThatIsNoTerminalHasNoColours(t *testing.T) {
	t.Parallel()
	dir := exampleProject(t)
	for _, args := range [][]string{{"plan"}, {"lint"}, {"lint", "--list-rules"}, {"diff", "HEAD"}, {"plan", "--event", "mr", "--why", "deploy"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			_, stdout, stderr := command(t, append(args, "-C", dir)...)
			if strings.Contains(stdout+stderr, "\x1b") {
				t.Errorf("slipway %s: colours", strings.Join(args, " "))
			}
		})
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("lint: {script: [x]}\nrelease: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}\n"))
	initRepository(t, dir)
	runGit(t, dir, "branch", "topic")
	runGit(t, dir, "tag", "v1.0.0")
	for line, want := range map[string]string{
		"plan --format ":  "text json mermaid",
		"plan --why ":     "lint release",
		"plan --branch ":  "main topic",
		"plan --tag ":     "v1.0.0",
		"run ":            "lint release",
		"run lint ":       "release",
		"run --executor ": "auto shell docker podman",
		"diff ":           "main topic v1.0.0",
	} {
		t.Run(line, func(t *testing.T) {
			words := strings.Split(line, " ")
			name, last := words[0], len(words)-1
			args := slices.Concat([]string{"__completeNoDesc", name, "-C", dir}, words[1:last], []string{words[last]})
			code, stdout, stderr := command(t, args...)
			got, _, _ := strings.Cut(stdout, ":")
			if got = strings.Join(strings.Fields(got), " "); code != 0 || got != want {
				t.Errorf("%q: %d, %q, want %q\n%s", line, code, got, want, stderr)
			}
		})
	}
}

func TestDefaultBranchOfTheClone(t *testing.T) {
	t.Parallel()
	origin, clone := t.TempDir(), filepath.Join(t.TempDir(), "clone")
	fill(t, filepath.Join(origin, ".gitlab-ci.yml"), []byte("a: {script: [x], rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]}\n"))
	initRepository(t, origin)
	runGit(t, origin, "branch", "--move", "main", "trunk")
	runGit(t, origin, "clone", "--quiet", origin, clone)
	const note = "slipway: default branch trunk, from the branches of this clone; `slipway config` shows how to set them\n"
	if code, stdout, stderr := command(t, "plan", "-C", clone); code != 0 || stderr != note || !strings.Contains(stdout, "1 job") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := command(t, "plan", "-C", clone, "--default-branch", "main"); code != 0 || stderr != "" || !strings.Contains(stdout, "no pipeline") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
}
