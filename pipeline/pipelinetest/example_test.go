package pipelinetest_test

import (
	"os"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline/pipelinetest"
)

// A test of a pipeline is a list of claims.
func Example() {
	// In a test file: func TestPipeline(t *testing.T) { ... }
	test := func(t *testing.T) {
		p := pipelinetest.Load(t, os.DirFS("testdata"))

		p.On(pipelinetest.MergeRequestFromFork()).HasNoJob("build-image").HasNoJob("deploy-production")
		p.On(pipelinetest.Tag("v1.2.3")).Job("deploy-production").IsManual().Blocks().Needs("deploy-staging")
		p.On(pipelinetest.Schedule("main")).IsNotCreated()
	}
	_ = test
}

// A golden file holds which jobs exist on which events; UPDATE_GOLDEN=1 writes it.
func ExampleProject_MatchesMatrix() {
	test := func(t *testing.T) {
		pipelinetest.Load(t, os.DirFS("testdata")).MatchesMatrix("testdata/matrix.golden")
	}
	_ = test
}

// What a change touches is part of the event.
func ExampleEvent_Changing() {
	test := func(t *testing.T) {
		p := pipelinetest.Load(t, os.DirFS("testdata"))

		p.On(pipelinetest.MergeRequest().Changing("docs/index.md")).HasJob("docs")
		p.On(pipelinetest.MergeRequest().Changing("main.go")).HasNoJob("docs")
	}
	_ = test
}
