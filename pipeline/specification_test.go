package pipeline_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// A job that is called like a global keyword is a mistake that GitLab explains badly.
func TestJobNamedLikeAKeyword(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{".gitlab-ci.yml": {Data: []byte("image:\n  stage: build\n  script: [make image]\nunit: {script: [make test]}\n")}}
	project, err := pipeline.Load(files, pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push})
	var wrong pipeline.Errors
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v, want errors", err)
	}
	for _, e := range wrong {
		if e.Position.Line == 1 && strings.Contains(e.Hint, "image is a keyword of GitLab: a job must have another name") {
			return
		}
	}
	t.Errorf("no error says that image is a keyword:\n%v", err)
}
