package runner

import (
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func withInputs(inputs ...pipeline.Input) func(*pipeline.Job) {
	return func(j *pipeline.Job) { j.Inputs = inputs }
}

func TestJobInputs(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	first := p.runPlan(planOf(
		job("say", `echo 'hello ${{ job.inputs.whom }}, ${{job.inputs.times}} times, ${{ job.inputs.of }}'`, withInputs(
			pipeline.Input{Name: "whom", Type: "string", Default: "world"}, pipeline.Input{Name: "times", Type: "number", Default: 3}, pipeline.Input{Name: "of", Type: "array", Default: []any{"a", 1}})),
		job("none", `echo '${{ job.inputs.whom }}'`),
		job("roll back", `echo "to [${{ job.inputs.digest }}]" | tee out`, stage("deploy"), when(pipeline.Manual),
			artifacts(pipeline.Artifacts{Name: "${{ job.inputs.digest }}", Paths: []string{"out"}}),
			withInputs(pipeline.Input{Name: "digest", Type: "string", Default: "", Regex: "^(sha256:[0-9a-f]+)?$"}, pipeline.Input{Name: "mode", Type: "string", Default: "fast", Options: []any{"fast", "slow"}})),
	))
	p.wantLog(first, "say", `hello world, 3 times, ["a",1]`)
	// A job without inputs may print whatever it likes.
	p.wantLog(first, "none", "${{ job.inputs.whom }}")
	for _, c := range []struct{ name, value, says string }{
		{"digset", "x", "roll back has no input digset; its inputs: digest, mode"},
		{"digest", "latest", `the input digest is "latest", which does not match ^(sha256:[0-9a-f]+)?$`},
		{"mode", "medium", `the input mode cannot be the string "medium" (one of fast, slow)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := p.options
			o.Inputs = map[string]string{c.name: c.value}
			if _, err := Resume(t.Context(), 0, "roll back", o); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s=%s: %v, want %q", c.name, c.value, err, c.says)
			}
		})
	}
	o := p.options
	o.Inputs = map[string]string{"digest": "sha256:1f"}
	resumed, err := Resume(t.Context(), 0, "roll back", o)
	if err != nil {
		t.Fatal(err)
	}
	p.want(resumed, RunSuccess, "say: success", "none: success", "roll back: success")
	p.wantLog(resumed, "roll back", `to [sha256:1f]`)

	// Running it again keeps the values of before, unless it gets others.
	again, err := Retry(t.Context(), 0, []string{"roll back"}, p.options)
	if err != nil {
		t.Fatal(err)
	}
	p.wantLog(again, "roll back", `to [sha256:1f]`)
	o.Inputs = map[string]string{"digest": "sha256:2e"}
	if again, err = Retry(t.Context(), 0, []string{"roll back"}, o); err != nil {
		t.Fatal(err)
	}
	p.wantLog(again, "roll back", `to [sha256:2e]`)
}

func TestUnknownExpression(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	in := withInputs(pipeline.Input{Name: "a", Type: "string", Default: "x"})
	r := p.run(job("function", "echo ${{ job.inputs.a + 1 }}", in), job("missing", "echo ${{ job.inputs.b }}", in))
	for name, says := range map[string]string{"function": "only ${{ job.inputs.NAME }} is", "missing": "the job has no input b"} {
		t.Run(name, func(t *testing.T) {
			if s := state(r, name); s.Status != Failed || !strings.Contains(s.Error, says) {
				t.Errorf("%s is %s: %s, want %q", name, s.Status, s.Error, says)
			}
		})
	}
}
