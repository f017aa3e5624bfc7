package input_test

import (
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/input"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/parsed"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

func TestValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, declared, given string
		// want is the value of the input a, problem the message and code of the only problem.
		want          any
		problem, code string
	}{
		{name: "default", declared: "a: {default: x}", want: "x"},
		{name: "given", declared: "a: {default: x}", given: "a: y", want: "y"},
		{name: "number given as text", declared: "a: {type: number}", given: "a: '3'", want: 3},
		{name: "text given as number", declared: "a: {}", given: "a: 3", want: "3"},
		{name: "another type", declared: "a: {type: boolean}", given: "a: yes please", problem: "the input a should be a boolean, not the string \"yes please\""},
		{name: "rule by another input", declared: "b: {default: x}\na: {rules: [{if: '$[[ inputs.b ]] == \"x\"', options: [p, q], default: q}]}", want: "q"},
		{name: "not declared", declared: "a: {}", given: "b: 1", problem: "f.yml has no input \"b\""},
		{name: "not given", declared: "a: {}", problem: "the input a has no default and is not given", code: "required"},
		{name: "not an option", declared: "a: {options: [x, y]}", given: "a: z", problem: "the input a cannot be the string \"z\""},
		{name: "no match", declared: "a: {regex: '^x'}", given: "a: z", problem: "the input a is \"z\", which does not match ^x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			checker := &check.Checker{Parsed: new(parsed.Cache)}
			values := input.Values(checker, "f.yml", parse(t, c.declared), parse(t, c.given), "required")
			if c.problem == "" {
				if got := values.Get("a").Any(); got != c.want || len(checker.Problems) > 0 {
					t.Errorf("got %#v, problems %v; want %#v", got, checker.Problems, c.want)
				}
				return
			}
			if len(checker.Problems) == 0 || checker.Problems[0].Message != c.problem || checker.Problems[0].Code != c.code {
				t.Errorf("got %+v, want first %q with code %q", checker.Problems, c.problem, c.code)
			}
		})
	}
}

func parse(t *testing.T, text string) *yamltree.Node {
	t.Helper()
	documents, err := yamltree.Parse("f.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(documents) == 0 {
		return nil
	}
	return documents[0]
}
