package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/gate/benchgate"
)

// newBenchgateCommand returns `slipway benchgate`, which is red if a benchmark regressed significantly.
func newBenchgateCommand() *cobra.Command {
	var percent, alpha float64
	var units []string
	var page string
	command := &cobra.Command{
		Use:   "benchgate OLD NEW",
		Short: "Compare two runs of benchmarks, and fail on a significant regression",
		Long: `Compare two runs of benchmarks, and fail on a significant regression.

OLD and NEW are what "go test -bench" writes. As in benchstat, medians are compared, and the
Mann-Whitney U test separates a difference from noise. Both runs should come from the
same machine, with -count 10.

Exit codes: 0 no regression; 1 a regression; 2 the runs cannot be compared.`,
		Example: "  go test -run '^$' -bench . -count 10 ./... >new.txt\n  slipway benchgate old.txt new.txt --max-regression 10",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var runs [2]benchgate.Runs
			for i, name := range args {
				file, err := os.Open(name)
				if err != nil {
					return err
				}
				runs[i], err = benchgate.Read(file, name)
				file.Close()
				if err != nil {
					return err
				}
			}
			changes, err := benchgate.Compare(runs[0], runs[1], benchgate.Policy{Worse: percent / 100, Alpha: alpha, Units: units})
			out := cmd.OutOrStdout()
			table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
			worse := 0
			for _, c := range changes {
				verdict := ""
				if c.Worse {
					worse++
					verdict = "worse"
				}
				fmt.Fprintf(table, "%s\t%.4g\t%.4g\t%+.1f%%\tp=%.3f\t%s\n", c.Key, c.Old, c.New, c.Delta*100, c.P, verdict)
			}
			table.Flush()
			if worse > 0 {
				fmt.Fprintf(out, "\n%d measurements regressed by more than %g%% (p < %g).\n", worse, percent, alpha)
				fmt.Fprintln(out, "How to fix:    go test -bench NAME -cpuprofile cpu.out, and go tool pprof -diff_base of the old profile.")
				fmt.Fprintln(out, "How to accept: raise --max-regression where the pipeline sets it, or merge: the next run is compared with this one.")
				fmt.Fprintf(out, "More:          %s#benchmarks\n", page)
				return exitError(1)
			}
			return err
		},
	}
	flags := command.Flags()
	flags.Float64Var(&percent, "max-regression", 10, "how much worse a median may get, in `PERCENT`")
	flags.Float64Var(&alpha, "alpha", 0.05, "significance level")
	flags.StringArrayVar(&units, "unit", nil, "only compare this `UNIT`, as in sec/op, B/op, allocs/op; repeatable")
	flags.StringVar(&page, "docs", gatesPage(), "the `URL` of the page that messages link to")
	return command
}
