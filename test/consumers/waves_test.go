package consumers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/pipelinetest"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

func TestWavesHaveOneApproval(t *testing.T) {
	t.Parallel()
	p := pipelinetest.LoadWith(t, os.DirFS("waves"), options("waves"))
	main := p.On(pipelinetest.Push("main"))
	lacks(main, "deploy-production", "deploy-rollback")
	main.Job("deploy-approval").IsManual().Blocks().Needs("deploy-staging").Runs("A deploy freeze is on")
	main.Job("deploy-first-wave: [eu]").IsAutomatic().Needs("deploy-approval").DeploysTo("production/eu").IsOneAtATimeIn("service-production-eu").
		HasVariable("SLIPWAY_DEPLOY_OVERLAY", "k8s/overlays/production-$CLUSTER").HasVariable("SLIPWAY_DEPLOY_SOAK", "60s").Runs("Staging of this pipeline did not run").DoesNotRun("A deploy freeze is on")
	for _, cluster := range []string{"us", "ap"} {
		main.Job("deploy-second-wave: [" + cluster + "]").IsAutomatic().Needs("deploy-first-wave").DeploysTo("production/" + cluster)
		main.Job("deploy-second-wave-return: [" + cluster + "]").Starts(pipeline.OnFailure).Needs("deploy-second-wave").DeploysTo("production/" + cluster)
	}
	main.Job("deploy-waves-rollback: [ap]").IsManual().MayFail().StartsImmediately().IsOneAtATimeIn("service-production-ap")
	for _, e := range []pipelinetest.Event{pipelinetest.MergeRequest(), pipelinetest.Push("feature"), pipelinetest.Tag("v1.2.3"), pipelinetest.Schedule("main")} {
		lacks(p.On(e), "deploy-approval", "deploy-first-wave: [eu]", "deploy-first-wave-return: [eu]", "deploy-waves-rollback: [eu]")
	}
}

// standInSlipway records what the jobs do in which cluster. Rollouts to the clusters in BAD fail.
const standInSlipway = `#!/bin/sh
# STAND-IN for slipway and its clusters.
case "$2" in namespace) cat >/dev/null && echo orders && exit ;; esac
echo "$2 ${CLUSTER:-staging} $*" >>"$RECORD"
case "$2 $BAD" in apply*"<$CLUSTER>"*) exit 1 ;; esac
`

// TestWaves runs the waves with clusters whose rollouts succeed and fail, and checks which clusters are rolled out and which are rolled back.
func TestWaves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, bad string
		// The commands and their clusters, one group after the other; the clusters of a group are sorted by name.
		want []string
	}{
		{"all succeed", "", []string{"apply staging", "apply eu", "apply ap us"}},
		{"the first wave fails", "<eu>", []string{"apply staging", "apply eu", "undo eu"}},
		{"one of the second wave fails", "<us>", []string{"apply staging", "apply eu", "apply ap us", "undo ap eu us"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := clone(t, "waves")
			p.write(".gitlab-ci.yml", `include:
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/deploy@v0.1.0
    inputs: {app: service, needs: [], review_needs: [], production_rules: [{when: never}], rollback: false}
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/deploy-waves@v0.1.0
    inputs: {first_wave: [eu], second_wave: [us, ap]}
`)
			programs := t.TempDir()
			record := filepath.Join(programs, "record")
			for name, script := range map[string]string{"kubectl": standInKubectl, "slipway": standInSlipway} {
				outside.WriteProgram(t, filepath.Join(programs, name), script)
			}
			p.commit("Deploy in waves")
			p.variables = []pipeline.Variable{{Key: "IMAGE_REPOSITORY", Value: "x"}, {Key: "IMAGE_DIGEST", Value: "sha256:0"}, {Key: "RECORD", Value: record}, {Key: "BAD", Value: c.bad},
				{Key: "PATH", Value: programs + ":" + os.Getenv("PATH")}}
			jobs := []string{"deploy-approval"}
			for _, job := range []string{"deploy-first-wave", "deploy-first-wave-return", "deploy-second-wave", "deploy-second-wave-return"} {
				for _, cluster := range []string{"eu", "us", "ap"} {
					if strings.HasPrefix(job, "deploy-first") == (cluster == "eu") || job == "deploy-second-wave-return" {
						jobs = append(jobs, job+": ["+cluster+"]")
					}
				}
			}
			o := p.run(nil, jobs...)
			text, err := os.ReadFile(record) //nolint:gosec // of this test
			if err != nil {
				t.Fatal(err)
			}
			var done []string
			for line := range strings.Lines(string(text)) {
				done = append(done, strings.Join(strings.Fields(line)[:2], " "))
				if strings.HasPrefix(line, "undo") && !strings.Contains(line, "--pipeline http") {
					t.Errorf("%q does not name the pipeline", line)
				}
			}
			if got := grouped(done, c.want); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if c.bad == "" && o.result.Status != runner.RunSuccess || c.bad != "" && o.result.Status != runner.RunFailed {
				t.Errorf("the run ended as %s", o.result.Status)
			}
		})
	}
}

// grouped splits the commands into groups of the wanted sizes and joins each of them to a line.
func grouped(done, want []string) []string {
	var groups []string
	for _, w := range want {
		n := min(len(strings.Fields(w))-1, len(done))
		var clusters []string
		for _, d := range done[:n] {
			clusters = append(clusters, strings.Fields(d)[1])
		}
		slices.Sort(clusters)
		if n > 0 {
			groups = append(groups, strings.Fields(done[0])[0]+" "+strings.Join(clusters, " "))
		}
		done = done[n:]
	}
	return append(groups, done...)
}
