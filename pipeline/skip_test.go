package pipeline_test

import (
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func TestCommitMessageSkipsThePipeline(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": "unit: {script: [x], rules: [{when: on_success}]}\n"})
	mergeRequest := &pipeline.MergeRequestInfo{IID: 1, SourceBranch: "x"}
	for name, test := range map[string]struct {
		source  pipeline.Source
		message string
		skipped bool
	}{
		"push":                      {pipeline.Push, "docs [skip ci]", true},
		"other order":               {pipeline.Push, "[ci skip] docs", true},
		"any case, other separator": {pipeline.Push, "docs\n\n[SKIP-CI]", true},
		"underscore":                {pipeline.Push, "[ci_skip]", true},
		"merge request":             {pipeline.MergeRequest, "docs [skip ci]", true},
		"without brackets":          {pipeline.Push, "skip ci", false},
		"two blanks":                {pipeline.Push, "[skip  ci]", false},
		"schedule":                  {pipeline.Schedule, "docs [skip ci]", false},
		"web":                       {pipeline.Web, "docs [skip ci]", false},
		"trigger":                   {pipeline.Trigger, "docs [skip ci]", false},
		"child pipeline":            {pipeline.ParentPipeline, "docs [skip ci]", false},
	} {
		t.Run(name, func(t *testing.T) {
			event := pipeline.Event{Source: test.source, CommitMessage: test.message}
			if test.source == pipeline.MergeRequest {
				event.MergeRequestInfo = mergeRequest
			}
			plan := mustPlan(t, project, event)
			if skipped := !plan.Created && plan.Reason == "skip_ci" && len(plan.Jobs) == 0; skipped != test.skipped {
				t.Errorf("%s: created %t, reason %q, want skipped %t", name, plan.Created, plan.Reason, test.skipped)
			}
		})
	}
}
