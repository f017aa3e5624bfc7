package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every verb that people see has a line about itself and examples.
func TestCommandsHaveHelp(t *testing.T) {
	t.Parallel()
	root := newRoot()
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

func TestHelpAndCompletionWork(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"help", "plan"}, {"plan", "--help"}, {"completion", "bash"}, {"completion", "zsh"}, {"completion", "fish"}} {
		code, stdout, stderr := command(t, args...)
		if code != 0 || !strings.Contains(stdout, "slipway") || stderr != "" {
			t.Errorf("slipway %s: exit code %d, %d bytes, %s", strings.Join(args, " "), code, len(stdout), stderr)
		}
	}
}

// A page that is piped into a program has no colours, whatever the terminal.
func TestOutputThatIsNoTerminalHasNoColours(t *testing.T) {
	t.Parallel()
	dir := exampleProject(t)
	for _, args := range [][]string{{"plan"}, {"lint"}, {"lint", "--list-rules"}, {"diff", "HEAD"}, {"plan", "--event", "mr", "--why", "deploy"}} {
		_, stdout, stderr := command(t, append(args, "-C", dir)...)
		if strings.Contains(stdout+stderr, "\x1b") {
			t.Errorf("slipway %s: colours", strings.Join(args, " "))
		}
	}
}
