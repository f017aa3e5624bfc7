package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// newEventsCommand is `slipway events`: the events that lint, matrix and diff look at.
func newEventsCommand() *cobra.Command {
	format := newFormat("text", "json")
	command := &cobra.Command{
		Use:     "events",
		Short:   "List the standard events, which lint, matrix and diff look at",
		Example: "  slipway events\n  slipway events --format json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format.value == "json" {
				return writeJSON(cmd.OutOrStdout(), pipeline.StandardEvents())
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			width := 0
			for _, event := range pipeline.StandardEvents() {
				width = max(width, len(event.Name))
			}
			for _, event := range pipeline.StandardEvents() {
				fmt.Fprintf(out, "%-*s  %s\n", width, event.Name, describeEvent(event))
			}
			return out.Flush()
		},
	}
	format.bind(command)
	return command
}

// describeEvent says what an event sets, in the words of the flags that set it.
func describeEvent(event pipeline.Event) string {
	words := []string{string(event.Source)}
	add := func(text string, given bool) {
		if given {
			words = append(words, text)
		}
	}
	add("branch "+event.Branch, event.Branch != "")
	add("tag "+event.Tag, event.Tag != "")
	add("new branch", event.NewBranch)
	if mr := event.MergeRequestInfo; mr != nil {
		add("from "+mr.SourceBranch, mr.SourceBranch != "")
		add("fork", mr.Fork)
		add("draft", mr.Draft)
		add(mr.Kind, mr.Kind != "")
	}
	add("protected", event.RefProtected)
	add("changed "+strings.Join(event.Changed, " "), len(event.Changed) > 0)
	add("open "+strings.Join(event.OpenMergeRequests, " "), len(event.OpenMergeRequests) > 0)
	return strings.Join(words, ", ")
}
