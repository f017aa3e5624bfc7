package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/gate/affected"
	"gitlab.com/slipway-ci/slipway/internal/gate/gitdiff"
)

// newAffectedCommand is `slipway affected`: what a change can affect, by the import graph.
func newAffectedCommand() *cobra.Command {
	var base, root, kind, module string
	var all []string
	var asJSON bool
	kinds := []string{"packages", "tests", "commands", "modules", "dirs"}
	command := &cobra.Command{
		Use:   "affected --base REF",
		Short: "List the Go packages and modules that a change can affect",
		Long: `List the Go packages and modules that a change can affect, by the import graph.

It follows workspaces and replace directives, embedded files, testdata, assembly, removed packages,
and packages that build with a dependency whose version has changed. It needs no network. Nothing is
printed if nothing is affected.

  packages  import paths of everything affected
  tests     the same, if there are test files
  commands  import paths of programs whose code is affected
  modules   directories of the modules with anything affected
  dirs      ./directories of everything affected`,
		Example: `  slipway affected --base "$CI_MERGE_REQUEST_TARGET_BRANCH_NAME" --print tests | xargs -r go test
  slipway affected --base origin/main --print modules --all .gitlab-ci.yml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(kinds, kind) {
				return fmt.Errorf("--print %s is not one of %s", kind, strings.Join(kinds, ", "))
			}
			dir, err := repositoryRoot(cmd.Context(), root)
			if err != nil {
				return err
			}
			set, err := gitdiff.Since(cmd.Context(), dir, base)
			if err != nil {
				return err
			}
			graph, err := affected.Load(set.Root)
			if err != nil {
				return err
			}
			result, err := affected.Of(cmd.Context(), graph, set, affected.Options{All: all})
			if err != nil {
				return err
			}
			if module != "" {
				result = result.In(path.Clean(module))
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), newAffectedJSON(set.Base, result))
			}
			for _, line := range affectedLines(result, kind) {
				fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&base, "base", "", "the `REF` that the change is to be merged into; history is fetched if the clone is shallow")
	flags.StringVar(&kind, "print", "packages", "what to list: "+strings.Join(kinds, ", "))
	flags.BoolVar(&asJSON, "json", false, "print all of it as JSON, with the reason for each package")
	flags.StringVar(&module, "module", "", "only packages of the module in `DIR`")
	flags.StringArrayVar(&all, "all", nil, "a change of a file that matches `GLOB` affects every package; repeatable")
	flags.StringVar(&root, "root", "", "the repository's root `DIR` (default: the one around the working directory)")
	_ = command.MarkFlagRequired("base")
	return command
}

func affectedLines(r *affected.Result, kind string) []string {
	if kind == "modules" {
		return r.Modules
	}
	lines := []string{}
	for _, p := range r.Packages {
		switch {
		case kind == "dirs" && p.Dir == ".":
			lines = append(lines, ".")
		case kind == "dirs":
			lines = append(lines, "./"+p.Dir)
		case kind == "packages", kind == "tests" && p.Tests, kind == "commands" && p.Main && !p.OnlyTests:
			lines = append(lines, p.ImportPath)
		}
	}
	return lines
}

type (
	affectedJSON struct {
		Base     string            `json:"base"`
		Packages []affectedPackage `json:"packages"`
		Modules  []string          `json:"modules"`
		Unowned  []string          `json:"unowned"`
	}
	affectedPackage struct {
		ImportPath string `json:"import_path"`
		Dir        string `json:"dir"`
		Module     string `json:"module"`
		Main       bool   `json:"main"`
		Tests      bool   `json:"tests"`
		OnlyTests  bool   `json:"only_tests"`
		Because    string `json:"because"`
	}
)

func newAffectedJSON(base string, r *affected.Result) affectedJSON {
	out := affectedJSON{Base: base, Packages: []affectedPackage{}, Modules: append([]string{}, r.Modules...), Unowned: append([]string{}, r.Unowned...)}
	for _, p := range r.Packages {
		out.Packages = append(out.Packages, affectedPackage{p.ImportPath, p.Dir, p.Module, p.Main, p.Tests, p.OnlyTests, p.Because})
	}
	return out
}
