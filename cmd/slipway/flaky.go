package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/gate/gotest"
)

// newFlakyCommand is `slipway flaky`: which tests passed only when they were run again.
func newFlakyCommand() *cobra.Command {
	var markdown, junit, page string
	var most int
	command := &cobra.Command{
		Use:   "flaky EVENTS...",
		Short: "Report the tests that passed only when they were run again",
		Long: `Report the tests that passed only when they were run again.

EVENTS are files of "gotestsum --jsonfile --rerun-fails". Of the JUnit report that gotestsum wrote
beside it, --junit makes one in which each test occurs once: otherwise GitLab shows the failures
of all attempts, in a job that has passed.`,
		Example: "  slipway flaky events.json --junit junit.xml --markdown flaky.md",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []gotest.Flaky
			for _, name := range args {
				events, err := os.Open(name)
				if err != nil {
					return err
				}
				list, err := gotest.FindFlaky(events)
				events.Close()
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				all = append(all, list...)
			}
			if junit != "" {
				if err := repairJUnit(junit); err != nil {
					return err
				}
			}
			if markdown != "" {
				if err := writeFile(markdown, func(w io.Writer) error { gotest.WriteFlaky(w, all); return nil }); err != nil {
					return err
				}
			}
			out := cmd.OutOrStdout()
			for _, f := range all {
				fmt.Fprintf(out, "flaky: %s %s failed %d of %d times\n", f.Package, f.Test, f.Failures, f.Runs)
			}
			if most >= 0 && len(all) > most {
				fmt.Fprintf(out, "\n%d tests are flaky, and at most %d are allowed.\n", len(all), most)
				fmt.Fprintln(out, "How to fix:    go test -run NAME -count 100 -race shows why; a test that waits should wait for what it needs, not for a time.")
				fmt.Fprintln(out, "How to accept: raise --max where the pipeline sets it, in a separate change.")
				fmt.Fprintf(out, "More:          %s#flaky-tests\n", page)
				return exitError(1)
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&markdown, "markdown", "", "write the list as Markdown to `FILE`")
	flags.StringVar(&junit, "junit", "", "repair the JUnit report in `FILE`")
	flags.IntVar(&most, "max", -1, "fail if there are more flaky tests than this (-1: never)")
	flags.StringVar(&page, "docs", gatesPage(), "the `URL` of the page that messages link to")
	return command
}

// repairJUnit replaces a report once the new one is whole.
func repairJUnit(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var repaired bytes.Buffer
	if err := gotest.RepairJUnit(&repaired, bytes.NewReader(data)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, repaired.Bytes(), 0o644)
}
