package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"testing/fstest"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// A test has its files in memory; a program uses os.DirFS.
var files = fstest.MapFS{
	".gitlab-ci.yml": {Data: []byte(`
include: [{local: ci/deploy.yml, inputs: {environment: production}}]
unit:
  script: [go test ./...]
  rules: [{if: $CI_PIPELINE_SOURCE == "merge_request_event"}, {if: $CI_COMMIT_BRANCH}]
`)},
	"ci/deploy.yml": {Data: []byte(`
spec:
  inputs:
    environment: {options: [staging, production]}
---
"deploy-$[[ inputs.environment ]]":
  stage: deploy
  environment: $[[ inputs.environment ]]
  script: [./deploy]
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
      when: manual
`)},
}

func Example() {
	project, err := pipeline.Load(files, pipeline.Options{Path: "acme/shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, job := range plan.Jobs {
		fmt.Println(job.Stage, job.Name, job.When, "-", job.Decision.Text)
	}
	// Output:
	// test unit on_success - rules[1] matched: if $CI_COMMIT_BRANCH
	// deploy deploy-production manual - rules[0] matched: if $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH, when manual
}

// A merge request from a fork never sees production.
func ExampleProject_Plan() {
	project, err := pipeline.Load(files, pipeline.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := project.Plan(context.Background(), pipeline.Event{
		Source:           pipeline.MergeRequest,
		MergeRequestInfo: &pipeline.MergeRequestInfo{IID: 7, SourceBranch: "feature", Fork: true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Job("deploy-production") == nil)
	for _, job := range plan.Dropped {
		fmt.Println(job.Name, "-", job.Decision.Text)
	}
	// Output:
	// true
	// deploy-production - none of 1 rules matched
}

// Errors tell where they are and what would be right.
func ExampleErrors() {
	broken := fstest.MapFS{".gitlab-ci.yml": {Data: []byte("unit:\n  script: [go test]\n  retry: 3\n  nedds: [build]\n")}}
	project, err := pipeline.Load(broken, pipeline.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push})
	var wrong pipeline.Errors
	if errors.As(err, &wrong) {
		for _, e := range wrong {
			fmt.Println(e.Position.Line, e.Path, "-", e.Message, e.Hint)
		}
	}
	// Output:
	// 4 jobs:unit - unknown key "nedds" did you mean needs?
	// 3 jobs:unit:retry - should be a number from 0 to 2, not the integer 3
}

// The merged configuration knows its files, jobs and stages; WriteYAML shows where each part comes from.
func ExampleProject_Config() {
	project, err := pipeline.Load(files, pipeline.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	config, err := project.Config(context.Background(), pipeline.Event{Source: pipeline.Push})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(config.Files)
	fmt.Println(config.Jobs())
	fmt.Println(config.Stages())
	// Output:
	// [.gitlab-ci.yml ci/deploy.yml]
	// [deploy-production unit]
	// [.pre build test deploy .post]
}

// The variables of a job are those that its shell has, expanded.
func ExamplePlan_Environment() {
	project, err := pipeline.Load(files, pipeline.Options{Variables: []pipeline.Variable{
		{Key: "URL", Value: "https://$CI_ENVIRONMENT_NAME.example.com", EnvironmentScope: "production"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range plan.Environment(plan.Job("deploy-production"), nil, nil) {
		if v.Key == "URL" {
			fmt.Println(v.Value)
		}
	}
	// Output:
	// https://production.example.com
}
