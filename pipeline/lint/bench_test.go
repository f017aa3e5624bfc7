package lint_test

import (
	"os"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/lint"
)

// BenchmarkRun lints this repository's own pipeline for every standard event, files read again each time.
func BenchmarkRun(b *testing.B) {
	b.ReportAllocs()
	files := os.DirFS("../..")
	for b.Loop() {
		project, err := pipeline.Load(files, pipeline.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := lint.Run(b.Context(), files, project, lint.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
