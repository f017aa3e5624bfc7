package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// A completion returns the words that a shell offers.
type completion = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

func completeEvents(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, event := range pipeline.StandardEvents() {
		names = append(names, render.EventLabel(event))
	}
	for name := range sources {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

// completeJobs offers the jobs that any event has, those that are named already excepted; none if the project does not
// compile.
func completeJobs(where *projectFlags) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		project, err := where.open(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, event := range pipeline.StandardEvents() {
			if plan, err := project.Plan(cmd.Context(), event); err == nil {
				names = append(names, planJobNames(plan)...)
			}
		}
		slices.Sort(names)
		names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return slices.Contains(args, name) })
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeRefs offers branches and tags, as git calls them: "heads", "remotes", "tags".
func completeRefs(where *projectFlags, kinds ...string) completion {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		args := []string{"for-each-ref", "--format=%(refname:short)"}
		for _, kind := range kinds {
			args = append(args, "refs/"+kind)
		}
		return strings.Fields(gitLine(cmd.Context(), where.dir, args...)), cobra.ShellCompDirectiveNoFileComp
	}
}
