package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/docs"
	"gitlab.com/slipway-ci/slipway/internal/gate/gitdiff"
	"gitlab.com/slipway-ci/slipway/internal/rollout"
)

// newRolloutCommand is `slipway rollout`: what the deploy stage does in a cluster.
func newRolloutCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "rollout",
		Short: "Roll a version out to Kubernetes, go back, and list what was deployed",
		Long: `Roll a version out to Kubernetes, go back, and list what was deployed.

The work is kubectl's, which must be in PATH and know the cluster. The record is in the namespace:
a ConfigMap with the manifests of each release, and a Lease that one job at a time holds.`,
	}
	command.AddCommand(newRolloutApplyCommand(), newRolloutUndoCommand(), newRolloutRemoveCommand(), newRolloutHistoryCommand(), newRolloutNamespaceCommand())
	return command
}

// bindService adds the flags that all subcommands have.
func bindService(command *cobra.Command, s *rollout.Service) {
	flags := command.Flags()
	flags.StringVar(&s.Name, "name", "", "`NAME` of the Deployment or Rollout and of its Service")
	flags.StringVarP(&s.Namespace, "namespace", "n", "", "`NAMESPACE` of the cluster")
}

// bindMoves adds the flags of the subcommands that change something.
func bindMoves(command *cobra.Command, s *rollout.Service) {
	bindService(command, s)
	flags := command.Flags()
	flags.StringVar(&s.Smoke, "smoke", "admin/proxy/version", "port and `PATH` of the Service whose answer must contain the commit")
	flags.DurationVar(&s.Timeout, "timeout", 2*time.Minute, "how long a rolling update, or going back, may take")
	flags.DurationVar(&s.CanaryTimeout, "canary-timeout", 25*time.Minute, "how long a canary may take, analyses included")
	flags.IntVar(&s.Keep, "keep", 20, "how many releases the record keeps")
	flags.StringVar(&s.Holder, "by", "", "who does it: the job's `ADDRESS`")
}

func newRolloutApplyCommand() *cobra.Command {
	var s rollout.Service
	var v rollout.Version
	var file string
	var newer bool
	command := &cobra.Command{
		Use:   "apply --name NAME -n NAMESPACE --image IMAGE --commit SHA -f FILE",
		Short: "Roll manifests out, wait until they serve, and go back if they do not",
		Long: `Roll manifests out, wait until they serve, and go back to the last good release if they do not.

A Deployment is followed until its pods are new; an Argo Rollout until its steps and analyses are
done; each measurement is printed. An analysis without enough requests to judge is a failure, too.
With --newer the present commit must contain the one that runs.

A Job with the annotation slipway.dev/run: before-rollout, such as a migration, runs for each
release, before the pods are replaced; if it fails, they are not. Going back does not run it.

Exit codes: 0 it serves; 1 it does not, or nothing was touched: another job deploys, or the cluster
runs something newer; 2 kubectl or the manifests cannot be used.`,
		Example: `  slipway rollout apply --name orders --namespace orders-staging --filename manifests.yaml \
    --image registry.example.com/orders@sha256:0123 --commit 0123abcd --newer`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "name", "namespace", "image", "commit", "filename", "by"); err != nil {
				return err
			}
			if !strings.Contains(v.Image, "@sha256:") {
				return fmt.Errorf("--image %s: want REPOSITORY@sha256:DIGEST, since a tag can change", v.Image)
			}
			manifests, err := os.ReadFile(file) // #nosec G304 -- the caller's own file
			if err != nil {
				return err
			}
			if newer {
				s.Ancestor = func(ctx context.Context, commit string) (bool, error) {
					base, err := gitdiff.MergeBase(ctx, ".", commit)
					return base == commit, err
				}
			}
			s.Out, v.By = cmd.OutOrStdout(), s.Holder
			return rolloutResult(cmd, &s, s.Apply(cmd.Context(), v, manifests))
		},
	}
	bindMoves(command, &s)
	flags := command.Flags()
	flags.StringVarP(&file, "filename", "f", "", "`FILE` with the manifests, the image's digest in them")
	flags.StringVar(&v.Image, "image", "", "`IMAGE` that is rolled out: REPOSITORY@DIGEST")
	flags.StringVar(&v.Commit, "commit", "", "`SHA` that the Service must name")
	flags.BoolVar(&newer, "newer", false, "refuse if the commit does not contain the one that runs")
	flags.DurationVar(&s.JobTimeout, "job-timeout", 10*time.Minute, "how long the Jobs before the rollout may take")
	flags.DurationVar(&s.Soak, "soak", 0, "how long it is watched after the rollout: it must go on answering, without a restart")
	flags.StringVar(&v.Pipeline, "pipeline", "", "`ADDRESS` of the pipeline, for undo --pipeline")
	return command
}

func newRolloutUndoCommand() *cobra.Command {
	var s rollout.Service
	var digest, pipeline string
	command := &cobra.Command{
		Use:   "undo --name NAME -n NAMESPACE [--digest DIGEST | --pipeline ADDRESS]",
		Short: "Go back to the release before, or to that of a digest",
		Long: `Go back to the good release before the present one, or to the last one of a digest: its manifests
are applied as they were. What it passes over is withdrawn: a further undo goes back further.
From a release whose job was killed in mid-rollout it goes back to the newest good one.

With --pipeline only what that pipeline has brought is undone; if something else runs, nothing is
done.`,
		Example: `  slipway rollout undo --name orders --namespace orders-production
  slipway rollout undo --name orders --namespace orders-production --digest sha256:0123`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "name", "namespace", "by"); err != nil {
				return err
			}
			s.Out = cmd.OutOrStdout()
			if err := s.History(cmd.Context(), s.Out); err != nil {
				return err
			}
			if cmd.Flags().Changed("pipeline") {
				if err := needed(cmd, "pipeline"); err != nil {
					return err
				}
				return rolloutResult(cmd, &s, s.UndoPipeline(cmd.Context(), pipeline))
			}
			return rolloutResult(cmd, &s, s.Undo(cmd.Context(), digest))
		},
	}
	bindMoves(command, &s)
	command.Flags().StringVar(&digest, "digest", "", "`DIGEST` to go back to, sha256:...")
	command.Flags().StringVar(&pipeline, "pipeline", "", "`ADDRESS` of the pipeline whose release is undone")
	command.MarkFlagsMutuallyExclusive("digest", "pipeline")
	return command
}

func newRolloutRemoveCommand() *cobra.Command {
	var s rollout.Service
	command := &cobra.Command{
		Use:   "remove --name NAME -n NAMESPACE",
		Short: "Delete what was deployed, and its record",
		Long: `Delete the objects of every release on record, such as those of a review environment, and the
record. Volumes that a StatefulSet made for its pods stay.

Exit codes: 0 nothing of it is left; 1 another job deploys; 2 kubectl cannot be used.`,
		Example: `  slipway rollout remove --name orders-review-mr-7 --namespace orders-review \
    --by https://gitlab.example.com/job/1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "name", "namespace", "by"); err != nil {
				return err
			}
			s.Out = cmd.OutOrStdout()
			return rolloutResult(cmd, &s, s.Remove(cmd.Context()))
		},
	}
	bindService(command, &s)
	command.Flags().StringVar(&s.Holder, "by", "", "who does it: the job's `ADDRESS`")
	return command
}

func newRolloutHistoryCommand() *cobra.Command {
	var s rollout.Service
	command := &cobra.Command{
		Use:     "history --name NAME --namespace NAMESPACE",
		Short:   "List the releases on record",
		Example: "  slipway rollout history --name orders --namespace orders-production",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "name", "namespace"); err != nil {
				return err
			}
			s.Out = cmd.ErrOrStderr()
			return s.History(cmd.Context(), cmd.OutOrStdout())
		},
	}
	bindService(command, &s)
	return command
}

func newRolloutNamespaceCommand() *cobra.Command {
	var name string
	command := &cobra.Command{
		Use:     "namespace --name NAME",
		Short:   "Print the namespace that manifests on standard input give the Deployment or Rollout",
		Example: "  kubectl kustomize k8s/overlays/staging | slipway rollout namespace --name orders",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "name"); err != nil {
				return err
			}
			manifests, err := io.ReadAll(cmd.InOrStdin())
			if err != nil {
				return err
			}
			namespace, err := rollout.Namespace(manifests, name)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), namespace)
			return err
		},
	}
	command.Flags().StringVar(&name, "name", "", "`NAME` of the Deployment or Rollout")
	return command
}

// needed refuses a command without one of the flags.
func needed(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if cmd.Flags().Lookup(name).Value.String() == "" {
			return errors.New("--" + name + " is missing")
		}
	}
	return nil
}

// rolloutResult says what a rollout has come to.
func rolloutResult(cmd *cobra.Command, s *rollout.Service, err error) error {
	if err == nil {
		return nil
	}
	w := cmd.ErrOrStderr()
	var fix string
	if refusal, ok := errors.AsType[*rollout.Refusal](err); ok {
		fix = refusal.Fix
	} else if failure, ok := errors.AsType[*rollout.Failure](err); ok {
		fix = "the pods' events and logs above say why"
		defer printBack(w, s, failure)
	} else {
		return err
	}
	fmt.Fprintf(w, "FAILED: %v\nHow to fix: %s.\nMore:       %s\n", err, fix, docs.Page("stages/deploy.md"))
	return exitError(1)
}

func printBack(w io.Writer, s *rollout.Service, f *rollout.Failure) {
	switch {
	case f.Back != nil:
		fmt.Fprintf(w, "The version before it serves again in %s: release %d, %s\n", s.Namespace, f.Back.Number, f.Back.Version)
	case f.Stuck != nil:
		fmt.Fprintf(w, "Going back to release %d has failed: look what runs in %s, and start the rollback job when the cluster answers.\n", f.Stuck.Number, s.Namespace)
	default:
		fmt.Fprintln(w, "There is no earlier version that worked.")
	}
}
