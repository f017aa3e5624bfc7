package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// visibleCommands are the commands that people see, and their subcommands; completion's are cobra's.
func visibleCommands() []*cobra.Command {
	var all []*cobra.Command
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Hidden || cmd.Name() == "completion" {
			return
		}
		all = append(all, cmd)
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit(newRoot(""))
	return all
}

func TestHelpFitsInto100Columns(t *testing.T) {
	t.Parallel()
	for _, cmd := range visibleCommands() {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
			code, stdout, stderr := command(t, args...)
			if code != 0 || stdout == "" {
				t.Errorf("%v: %d %s", args, code, stderr)
			}
			for line := range strings.Lines(stdout) {
				if line = strings.TrimRight(line, "\n"); len([]rune(line)) > 100 {
					t.Errorf("%v: %d columns: %s", args, len([]rune(line)), line)
				}
			}
		})
	}
}

// Commands that need nothing but a project are run; others need a scanner, a test run, or a server.
var runHere = []string{"plan", "lint", "matrix", "compile", "diff", "events", "runs", "config", "version", "docs", "clean"}

// Every example of --help runs, in a project that has what they name; those of other commands have arguments, flags and events
// that exist.
func TestExamplesOfHelp(t *testing.T) {
	dir := t.TempDir()
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte(`spec: {inputs: {environment: {default: production}}}
---
stages: [test, deploy]
default: {image: "alpine@sha256:0123456789012345678901234567890123456789012345678901234567890123"}
workflow: {rules: [{when: always}]}
fuzz: {script: [x], rules: [{if: $CI_PIPELINE_SOURCE == "schedule"}]}
unit: {script: [x]}
deploy-production: {stage: deploy, script: ["echo $[[ inputs.environment ]]"], environment: production, rules: [{if: $CI_COMMIT_TAG, when: manual}]}
`))
	initRepository(t, dir)
	for _, tag := range []string{"v1.4.0", "v1.5.0", "v1.2.3"} {
		runGit(t, dir, "tag", tag)
	}
	runGit(t, dir, "update-ref", "refs/remotes/origin/main", "HEAD")
	commitAll(t, dir)
	t.Chdir(dir)
	count := 0
	for _, cmd := range visibleCommands() {
		script, err := syntax.NewParser().Parse(strings.NewReader(cmd.Example), "")
		if err != nil {
			t.Errorf("%s: %v", cmd.CommandPath(), err)
			continue
		}
		syntax.Walk(script, func(node syntax.Node) bool {
			call, ok := node.(*syntax.CallExpr)
			if !ok || len(call.Args) == 0 || call.Args[0].Lit() != "slipway" {
				return true // also into $(...)
			}
			args, err := expand.Fields(&expand.Config{Env: expand.FuncEnviron(func(string) string { return "main" })}, call.Args[1:]...)
			if err != nil {
				t.Fatalf("%s: %v", cmd.CommandPath(), err)
			}
			count++
			if err := validArguments(args); err != nil {
				t.Errorf("%q: %v", args, err)
			} else if slices.Contains(runHere, args[0]) {
				// With these flags, 1 is an answer.
				answer := slices.Contains(args, "--strict") || slices.Contains(args, "--exit-code")
				if code, _, stderr := command(t, args...); code != 0 && (code != 1 || !answer) {
					t.Errorf("%q: exit code %d\n%s", args, code, stderr)
				}
			}
			return true
		})
	}
	if count < 50 {
		t.Errorf("only %d examples", count)
	}
}

// validArguments reports what a command would refuse before it begins.
func validArguments(args []string) error {
	cmd, rest, err := newRoot("").Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err
	}
	if err := cmd.ValidateFlagGroups(); err != nil {
		return err
	}
	flag := cmd.Flags().Lookup("event")
	if flag == nil || !flag.Changed {
		return nil
	}
	names, err := cmd.Flags().GetStringArray("event")
	if err != nil {
		names = []string{flag.Value.String()}
	}
	for _, name := range names {
		_, isSource := sources[name]
		if !isSource && !slices.ContainsFunc(pipeline.StandardEvents(), func(e pipeline.Event) bool { return e.Name == name }) {
			return fmt.Errorf("no event %q", name)
		}
	}
	return nil
}

func TestEventsAsJSON(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, "events", "--format", "json")
	var events []pipeline.Event
	if err := json.Unmarshal([]byte(stdout), &events); code != 0 || err != nil || len(events) != len(pipeline.StandardEvents()) || events[0].Name == "" {
		t.Errorf("%d %v\n%s%s", code, err, stdout, stderr)
	}
}
