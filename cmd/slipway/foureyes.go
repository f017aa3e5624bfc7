package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/permission"
)

// newFourEyesCommand is `slipway four-eyes`: the second person that production needs.
func newFourEyesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "four-eyes starter|approval",
		Short: "Check that a second person starts the job, or has approved the change",
		Long: `Check that a second person starts the job, or has approved the change: with "starter" whoever
starts the job must be somebody who neither opened the merge request that brought the commit nor
committed to it, with "approval" one of those who have approved the merge request.

It asks GitLab's API, and compares people by their ids. The token is the variable FOUR_EYES_TOKEN,
which needs the scope read_api; the rest are predefined variables: CI_API_V4_URL,
CI_API_GRAPHQL_URL, CI_PROJECT_ID, CI_PROJECT_PATH, CI_COMMIT_SHA and CI_JOB_ID.

Exit codes: 0 there is a second person; 1 there is none, or GitLab does not answer; 2 a variable
is missing.`,
		Example:   "  slipway four-eyes starter",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{permission.Starter, permission.Approval},
		RunE: func(cmd *cobra.Command, args []string) error {
			job := permission.Job{Token: os.Getenv("FOUR_EYES_TOKEN")}
			if err := predefined(map[string]*string{
				"CI_API_V4_URL": &job.API, "CI_API_GRAPHQL_URL": &job.GraphQL, "CI_PROJECT_ID": &job.ProjectID, "CI_PROJECT_PATH": &job.ProjectPath,
				"CI_COMMIT_SHA": &job.Commit, "CI_JOB_ID": &job.ID,
			}); err != nil {
				return err
			}
			others, err := job.FourEyes(cmd.Context(), args[0])
			if err != nil {
				return permissionResult(cmd, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Four eyes: %s is not an author of this change.\n", strings.Join(others, ", "))
			return err
		},
	}
}

// predefined reads variables that every job of GitLab's has.
func predefined(variables map[string]*string) error {
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if *variables[name] = os.Getenv(name); *variables[name] == "" {
			return fmt.Errorf("%s is not set: this command is for jobs of GitLab", name)
		}
	}
	return nil
}

// permissionResult says why production may not be touched, if it may not.
func permissionResult(cmd *cobra.Command, err error) error {
	refusal, ok := errors.AsType[*permission.Refusal](err)
	if !ok {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%v.\nHow to fix: %s.\n", refusal, refusal.Fix)
	return exitError(1)
}
