package consumers

import (
	"strings"
	"testing"
	"testing/fstest"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// TestChildPipelines plans a project that gives each service a child pipeline, for a merge request, a draft and a push: a child has its parent's
// event with the source parent_pipeline.
func TestChildPipelines(t *testing.T) {
	t.Parallel()
	workflow := "include:\n  - {project: slipway-ci/slipway, ref: v0.1.0, file: /ci/workflow.yml}\n"
	files := fstest.MapFS{
		".gitlab-ci.yml": {Data: []byte(workflow + "orders:\n  trigger: {include: [{local: orders.yml}], strategy: mirror}\n")},
		"orders.yml":     {Data: []byte(workflow + strings.TrimPrefix(with("go-service", "app: orders, signature: key"), "include:\n"))},
	}
	o := options("shop")
	o.Variables = []pipeline.Variable{{Key: "SONAR_TOKEN", Value: "x"}, {Key: "SONAR_HOST_URL", Value: "y"}}
	p, err := pipeline.Load(files, o)
	if err != nil {
		t.Fatal(err)
	}
	request := pipeline.MergeRequestInfo{IID: 7, SourceBranch: "feature", TargetBranch: "main", Title: "Change"}
	draft := request
	draft.Draft = true
	for _, c := range []struct {
		name       string
		event      pipeline.Event
		has, lacks []string
	}{
		// The source branch may be protected, as a release branch that is merged back; its key is not for merge requests.
		{"merge request", pipeline.Event{Source: pipeline.MergeRequest, RefProtected: true, MergeRequestInfo: &request}, []string{"test", "sonar", "publish"}, []string{"image-sign", "deploy-staging"}},
		{"draft", pipeline.Event{Source: pipeline.MergeRequest, MergeRequestInfo: &draft}, []string{"test"}, []string{"sonar", "build-image"}},
		{"push", pipeline.Event{Source: pipeline.Push, Branch: "main", RefProtected: true}, []string{"test", "sonar", "image-sign", "deploy-staging"}, nil},
	} {
		plan, err := p.Plan(t.Context(), c.event)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		child := plan.Job("orders").Trigger.Child
		if child == nil || !child.Created {
			t.Errorf("%s: there is no child pipeline: %+v", c.name, plan.Job("orders").Trigger)
			continue
		}
		for _, name := range c.has {
			if child.Job(name) == nil {
				t.Errorf("%s: the child pipeline lacks %s", c.name, name)
			}
		}
		for _, name := range c.lacks {
			if child.Job(name) != nil {
				t.Errorf("%s: the child pipeline has %s", c.name, name)
			}
		}
	}
}

// TestSecretsInChildPipeline searches the commits of the parent's merge request or push in a child pipeline, as in the parent, not the whole history.
func TestSecretsInChildPipeline(t *testing.T) {
	t.Parallel()
	p := clone(t, "monorepo")
	p.write("old.sh", "curl --header 'PRIVATE-TOKEN: glpat-"+"x7Kq2mV9pRt4Zw8sBn3L' https://gitlab.example.com\n")
	p.commit("Leak a token that was revoked long ago")
	before := p.git("rev-parse", "HEAD")
	p.write("README.md", "No secrets.\n")
	p.commit("Add a document")
	child := func(e *pipeline.Event) {
		e.Source = pipeline.ParentPipeline
		e.Predefined["CI_COMMIT_BEFORE_SHA"] = before
	}
	p.run(child, "secrets").green("secrets-scan", "secrets")
	p.base = before
	p.run(func(e *pipeline.Event) { e.RootSource, e.Source = e.Source, pipeline.ParentPipeline }, "secrets").green("secrets-scan", "secrets")
	p.base = ""
	p.run(onSchedule, "secrets").red("secrets", 1, "old.sh")
}
