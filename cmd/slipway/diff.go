package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/gittree"
	"gitlab.com/slipway-ci/slipway/pipeline/plandiff"
)

// newDiffCommand is `slipway diff`: what a change does to the jobs of every event.
func newDiffCommand() *cobra.Command {
	var where projectFlags
	var names, changed []string
	var exitCode bool
	format := newFormat("text", "json")
	cmd := &cobra.Command{
		Use:   "diff REF1 [REF2]",
		Short: "Report what a change, or the upgrade of an include, does to the jobs of every event",
		Long: `Report what a change, or the upgrade of an include, does to the jobs of every event: jobs that
are added, removed or changed, and in which keywords. REF1 and REF2 are commits of this repository;
without REF2 the work tree is compared, uncommitted changes included. Commits are read from git's
objects; nothing is checked out.

Exit codes: 0; 1 if something differs and --exit-code is given.`,
		Example: `  slipway diff main                # what the work tree changes
  slipway diff v1.4.0 v1.5.0
  slipway diff HEAD~1 HEAD --event tag-version
  slipway diff --exit-code origin/main HEAD`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("slipway diff compares REF1 with REF2 or with the work tree, but got %d refs", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if err := where.identify(ctx); err != nil {
				return err
			}
			events, err := where.events(ctx, names, changed)
			if err != nil {
				return err
			}
			before, closeBefore, err := where.at(ctx, args[0])
			if err != nil {
				return err
			}
			defer closeBefore()
			var after *pipeline.Project
			if len(args) == 2 {
				var closeAfter func()
				if after, closeAfter, err = where.at(ctx, args[1]); err != nil {
					return err
				}
				defer closeAfter()
			} else if after, err = where.open(ctx); err != nil {
				return err
			}
			diffs, err := plandiff.Compare(ctx, before, after, events)
			if err != nil {
				return err
			}
			if err := writeDiffs(cmd.OutOrStdout(), diffs, format.value); err != nil {
				return err
			}
			if exitCode && slices.ContainsFunc(diffs, func(d plandiff.Diff) bool { return !d.Empty() }) {
				return exitError(1)
			}
			return nil
		},
	}
	where.bind(cmd)
	format.bind(cmd)
	flags := cmd.Flags()
	flags.StringArrayVarP(&names, "event", "e", nil, "only this `EVENT`: a name of \"slipway events\", or a source as for plan (repeatable)")
	flags.StringSliceVar(&changed, "changed", nil, "`PATH` that every push and merge request changes (repeatable; default: none)")
	flags.BoolVar(&exitCode, "exit-code", false, "exit with 1 if something differs")
	_ = cmd.RegisterFlagCompletionFunc("event", completeEvents)
	cmd.ValidArgsFunction = completeRefs(&where, "heads", "remotes", "tags")
	return cmd
}

// at loads the project as it is in a commit. Call close when no more is compiled.
func (f *projectFlags) at(ctx context.Context, ref string) (project *pipeline.Project, close func(), err error) {
	if gitLine(ctx, f.dir, "rev-parse", "--git-dir") == "" {
		return nil, nil, fmt.Errorf("%s is not a git repository: slipway diff compares commits", f.dir)
	}
	tree, err := gittree.Open(ctx, f.dir, ref)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("no commit %q in this repository", ref)
	}
	if err != nil {
		return nil, nil, err
	}
	files, err := f.below(ctx, tree)
	if err != nil {
		tree.Close()
		return nil, nil, err
	}
	project, err = f.load(files)
	if err != nil {
		tree.Close()
		if _, statErr := fs.Stat(files, f.config); errors.Is(statErr, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("no %s in %s", f.config, ref)
		}
		return nil, nil, err
	}
	return project, func() { tree.Close() }, nil
}

func writeDiffs(w io.Writer, diffs []plandiff.Diff, format string) error {
	if format == "json" {
		return writeJSON(w, diffs)
	}
	return plandiff.Text(w, diffs, palette(w))
}
