package reuse_test

import (
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/reuse"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

func TestReuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, config string
		step         func(*yamltree.Node) (*yamltree.Node, []check.Problem)
		// want is a value of the job a, path the key path of the only problem.
		key, want, path string
	}{
		{"a job is stronger than its template", ".t: {x: 1, y: 2}\na: {extends: .t, x: 3}\n", reuse.Extend, "x", "3", ""},
		{"the last template is the strongest", ".t: {x: 1}\n.u: {x: 2}\na: {extends: [.t, .u]}\n", reuse.Extend, "x", "2", ""},
		{"unknown template", "a: {extends: .t}\n", reuse.Extend, "", "", "jobs:a:extends"},
		{"cycle", "a: {extends: a}\n", reuse.Extend, "", "", "jobs:a:extends"},
		{"two jobs with one broken template", ".t: {extends: .none}\na: {extends: .t}\nb: {extends: .t}\n", reuse.Extend, "", "", "jobs:.t:extends"},
		{"reference", ".t: {x: 1}\na: {x: !reference [.t, x]}\n", reuse.References, "x", "1", ""},
		{"reference to nothing", "a: {x: !reference [.t, x]}\n", reuse.References, "", "", "reference"},
		{"reference to itself", "a: {x: !reference [a, x]}\n", reuse.References, "", "", "reference"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			documents, err := yamltree.Parse("a.yml", []byte(c.config))
			if err != nil {
				t.Fatal(err)
			}
			tree, problems := c.step(documents[0])
			switch {
			case c.path == "" && len(problems) > 0:
				t.Fatalf("%+v", problems)
			case c.path != "" && (len(problems) != 1 || problems[0].Path != c.path):
				t.Fatalf("%+v, want one at %s", problems, c.path)
			case c.path == "" && tree.Get("a").Get(c.key).Text != c.want:
				t.Errorf("%s is %q, want %q", c.key, tree.Get("a").Get(c.key).Text, c.want)
			}
		})
	}
}
