package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// A format is the flag --format: one of a few names, the first of which is the default.
type format struct {
	value   string
	choices []string
}

func newFormat(choices ...string) *format { return &format{value: choices[0], choices: choices} }

func (f *format) bind(cmd *cobra.Command) {
	cmd.Flags().VarP(f, "format", "f", "output `NAME`: "+strings.Join(f.choices, ", "))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(f.choices, cobra.ShellCompDirectiveNoFileComp))
}

// String, Set and Type implement pflag.Value.
func (f *format) String() string { return f.value }
func (f *format) Type() string   { return "name" }
func (f *format) Set(value string) error {
	if !slices.Contains(f.choices, value) {
		return fmt.Errorf("want one of %s", strings.Join(f.choices, ", "))
	}
	f.value = value
	return nil
}

// noArguments refuses arguments, in other words than those for an unknown command.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, but got %q; `%s --help` lists the flags", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// writeJSON writes a value as JSON for people and programs.
func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}
