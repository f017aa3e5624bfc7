package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/gate/gotest"
)

// newShardCommand is `slipway shard`: the packages of one of several parallel test jobs.
func newShardCommand() *cobra.Command {
	var index, total int
	var timings string
	command := &cobra.Command{
		Use:   "shard [PACKAGE...]",
		Short: "List the packages of one of several parallel test jobs, distributed by measured time",
		Long: `List the packages of one of several parallel test jobs, distributed by measured time.

Packages are arguments, or lines of standard input. All jobs must get the same packages and
the same timings; each then computes its own share. Packages without a time count as the median.
Nothing is printed if there are more jobs than packages and none is left for this one.`,
		Example: "  packages=$(go list ./... | slipway shard --timings timings.json)\n  [ -z \"$packages\" ] || gotestsum --packages \"$packages\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if index, err = number(cmd, "index", index, "CI_NODE_INDEX"); err != nil {
				return err
			}
			if total, err = number(cmd, "total", total, "CI_NODE_TOTAL"); err != nil {
				return err
			}
			known := gotest.Timings{}
			if timings != "" {
				if known, err = loadTimings(timings); err != nil {
					return err
				}
			}
			if len(args) == 0 {
				if args, err = lines(cmd.InOrStdin()); err != nil {
					return err
				}
			}
			packages, err := gotest.Shard(args, known, index, total)
			if err != nil {
				return err
			}
			for _, p := range packages {
				fmt.Fprintln(cmd.OutOrStdout(), p)
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.IntVar(&index, "index", 1, "which job this is, counted from 1 (default: $CI_NODE_INDEX, or 1)")
	flags.IntVar(&total, "total", 1, "how many jobs there are (default: $CI_NODE_TOTAL, or 1)")
	flags.StringVar(&timings, "timings", "", "the `FILE` that \"slipway timings\" wrote; it may be missing")
	return command
}

// number is the flag's value, or that of a variable that GitLab sets for parallel jobs.
func number(cmd *cobra.Command, flag string, value int, variable string) (int, error) {
	text := os.Getenv(variable)
	if text == "" || cmd.Flags().Changed(flag) {
		return value, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s=%q is not a number", variable, text)
	}
	return n, nil
}

// loadTimings reads a file of timings; there is none before the first run.
func loadTimings(path string) (gotest.Timings, error) {
	t := gotest.Timings{}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func lines(r io.Reader) ([]string, error) {
	var list []string
	s := bufio.NewScanner(r)
	for s.Scan() {
		if text := strings.TrimSpace(s.Text()); text != "" {
			list = append(list, text)
		}
	}
	return list, s.Err()
}
