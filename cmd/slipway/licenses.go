package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/docs"
	"gitlab.com/slipway-ci/slipway/internal/gate/licenses"
)

// newLicensesCommand is `slipway licenses`: the licences of what is built in, against a list.
func newLicensesCommand() *cobra.Command {
	var allow, except []string
	var table, page string
	output := newFormat("text", "json")
	command := &cobra.Command{
		Use:   "licenses --allow NAMES [PACKAGE...]",
		Short: "Compare the licences of the modules that are built in with a list",
		Long: `Compare the licences of the modules that are built in with a list.

Modules are those that the packages are built from, here without their tests; licences are
recognized by the text of the modules' licence files. A module with several licences needs all of
them in the list, since a file cannot say which one counts.

Exit codes: 0 all are in the list; 1 one is not, or is not recognized; 2 the go command does not
know the packages.`,
		Example: "  slipway licenses --allow MIT,Apache-2.0,BSD-3-Clause ./...",
		RunE: func(cmd *cobra.Command, packages []string) error {
			if len(allow) == 0 {
				return errors.New("--allow names no licence; MIT,Apache-2.0,BSD-2-Clause,BSD-3-Clause,ISC is a usual list")
			}
			if len(packages) == 0 {
				packages = []string{"./..."}
			}
			modules, err := licenses.Of(cmd.Context(), ".", packages)
			if err != nil {
				return err
			}
			if table != "" {
				if err := writeFile(table, func(w io.Writer) error { return writeLicenses(w, modules) }); err != nil {
					return err
				}
			}
			out := cmd.OutOrStdout()
			verdicts, red := judge(modules, allow, except)
			if output.value == "json" {
				if err := writeJSON(out, verdicts); err != nil || red == 0 {
					return err
				}
				return exitError(1)
			}
			for _, v := range verdicts {
				fmt.Fprintln(out, v)
			}
			if red == 0 {
				return nil
			}
			fmt.Fprintf(out, "\n%s not under an allowed licence (%s).\n", verdictCount(red), strings.Join(allow, ", "))
			fmt.Fprintln(out, "Who needs it:  go mod why -m MODULE")
			fmt.Fprintln(out, "How to fix:    remove the module, or replace it.")
			fmt.Fprintln(out, "How to accept: add the licence to --allow, or the module to --except, after legal review.")
			fmt.Fprintln(out, "More:          "+cmp.Or(page, docs.Page("stages/licenses.md")))
			return exitError(1)
		},
	}
	output.bind(command)
	flags := command.Flags()
	flags.StringSliceVar(&allow, "allow", nil, "SPDX `NAMES` of the allowed licences, separated by commas")
	flags.StringSliceVar(&except, "except", nil, "`MODULES` that may have any licence or none, separated by commas; PATH/... are all below PATH")
	flags.StringVar(&table, "csv", "", "write module, version, licences and licence files to `FILE`")
	flags.StringVar(&page, "docs", "", "the `URL` of the page that messages link to (default: stages/licenses.md of \"slipway docs\")")
	return command
}

// A licenseVerdict is what the list says about a module.
type licenseVerdict struct {
	Module   string   `json:"module"`
	Version  string   `json:"version"`
	Licenses []string `json:"licenses"`
	Files    []string `json:"files"`
	// State is "allowed", "excepted" or "not_allowed".
	State string `json:"state"`
}

// String returns the line of a verdict in the text output.
func (v licenseVerdict) String() string {
	names := strings.Join(v.Licenses, ", ")
	if names == "" {
		names = "none that is recognized"
	}
	state := map[string]string{"allowed": "ok", "excepted": "excepted", "not_allowed": "NOT ALLOWED"}[v.State]
	return fmt.Sprintf("%-11s  %s %s: %s", state, v.Module, v.Version, names)
}

// judge compares modules with the list, and counts those that are not allowed.
func judge(modules []licenses.Module, allow, except []string) (verdicts []licenseVerdict, red int) {
	verdicts = []licenseVerdict{}
	for _, m := range modules {
		v := licenseVerdict{Module: m.Path, Version: m.Version, Licenses: m.Licenses, Files: m.Files, State: "not_allowed"}
		switch {
		case m.Allowed(allow):
			v.State = "allowed"
		case licenses.Excepted(m.Path, except):
			v.State = "excepted"
		default:
			red++
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, red
}

func writeLicenses(w io.Writer, modules []licenses.Module) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"module", "version", "licences", "files"}}
	for _, m := range modules {
		rows = append(rows, []string{m.Path, m.Version, strings.Join(m.Licenses, " "), strings.Join(m.Files, " ")})
	}
	return c.WriteAll(rows)
}

func verdictCount(n int) string {
	if n == 1 {
		return "1 module is"
	}
	return fmt.Sprintf("%d modules are", n)
}
