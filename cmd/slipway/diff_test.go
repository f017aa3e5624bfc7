package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	commit := func(tag, configuration string) {
		fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("include: [ci/jobs.yml]\n"))
		fill(t, filepath.Join(dir, "ci", "jobs.yml"), []byte(configuration))
		commitAll(t, dir)
		runGit(t, dir, "tag", tag)
	}
	initRepository(t, dir)
	runGit(t, dir, "tag", "v0")
	commit("v1", "test: {script: [make test]}\nold: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}\n")
	commit("v2", "test: {script: [make test], tags: [large]}\nnew: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}\n")
	fill(t, filepath.Join(dir, "ci", "jobs.yml"), []byte("test: {script: [make test]}\n"))

	tests := []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"two commits", []string{"v1", "v2"}, 0, []string{`~ test: tags: (none) -> ["large"]`, "- old", "+ new"}},
		{"with an exit code", []string{"--exit-code", "v1", "v2"}, 1, []string{"- old"}},
		{"the same commit", []string{"--exit-code", "v1", "v1"}, 0, []string{"no difference on "}},
		{"the work tree", []string{"v1"}, 0, []string{"- old"}},
		{"as JSON", []string{"v1", "v2", "--format", "json"}, 0, []string{`"added": [`, `"new"`, `"keyword": "tags"`}},
		{"no such commit", []string{"v9", "v1"}, 2, []string{`no commit "v9"`}},
		{"no pipeline yet", []string{"v0", "v1"}, 2, []string{"no .gitlab-ci.yml in v0"}},
		{"no ref", nil, 2, []string{"compares REF1 with REF2 or with the work tree, but got 0 refs"}},
		{"a flag for a ref", []string{"--", "--output=x"}, 2, []string{`no commit "--output=x"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, append([]string{"diff", "-C", dir}, tt.args...)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, tt.code, stdout, stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(stdout+stderr, want) {
					t.Errorf("the output does not say %q:\n%s%s", want, stdout, stderr)
				}
			}
		})
	}
}

// On Windows, git gives the work tree other line breaks than the commits have.
func TestDiffIgnoresLineBreaks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const main = "include: [ci/*.yml]\nunit:\n  script:\n    - |\n      one\n      two\n  rules:\n    - if: >-\n        $CI_COMMIT_BRANCH &&\n        $CI\n"
	const part = "spec: {inputs: {a: {default: b}}}\n---\nlint: {script: [\"$[[ inputs.a ]]\"]}\n"
	initRepository(t, dir)
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte(main))
	fill(t, filepath.Join(dir, "ci", "part.yml"), []byte(part))
	commitAll(t, dir)
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte(strings.ReplaceAll(main, "\n", "\r\n")))
	fill(t, filepath.Join(dir, "ci", "part.yml"), []byte(strings.ReplaceAll(part, "\n", "\r\n")))
	if code, stdout, stderr := command(t, "diff", "-C", dir, "--exit-code", "HEAD"); code != 0 || !strings.Contains(stdout, "no difference") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
}

func TestDiffLeavesTheWorkTreeAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("a: {script: [x]}\n"))
	initRepository(t, dir)
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("b: {script: [x]}\n"))
	before := runGit(t, dir, "status", "--porcelain")
	if code, stdout, stderr := command(t, "diff", "-C", dir, "HEAD"); code != 0 || !strings.Contains(stdout, "+ b") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if diff := cmp.Diff(before, runGit(t, dir, "status", "--porcelain")); diff != "" {
		t.Errorf("status (-before +after):\n%s", diff)
	}
}

func TestDiffOutsideOfARepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("a: {script: [x]}\n"))
	code, _, stderr := command(t, "diff", "-C", dir, "HEAD")
	if code != 2 || !strings.Contains(stderr, "not a git repository") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
