package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestCoverage is a merge request: a file is new, and half of it is tested.
func TestCoverage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		fill(t, path, []byte(content))
		return path
	}
	put(".gitignore", "*.out\n")
	put("go.mod", "module example.com/m\n\ngo 1.26\n")
	put("old.go", "package m\n\nfunc Old() int {\n\treturn 1\n}\n")
	initRepository(t, dir)
	runGit(t, dir, "checkout", "--quiet", "-b", "topic")
	put("new.go", "package m\n\nfunc New() int {\n\treturn 1\n}\n\nfunc Newer() int {\n\treturn 2\n}\n")
	commitAll(t, dir)
	profile := put("unit.out", "mode: atomic\nexample.com/m/old.go:3.16,5.2 1 1\nexample.com/m/new.go:3.16,5.2 1 3\nexample.com/m/new.go:7.18,9.2 1 0\n")

	for _, test := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"no minimum", nil, 0, []string{"total:\t(statements)\t66.6%"}},
		{"enough", []string{"--min", "66", "--changed-min", "50", "--base", "main"}, 0, []string{"changed lines: 1 of 2 covered (50.0%)", "new.go:8  not covered"}},
		{"too little", []string{"--min", "80"}, 1, []string{"total:\t(statements)\t66.6%", "1 more are needed", "How to fix", "How to accept", "#coverage"}},
		{"change too little", []string{"--changed-min", "80", "--base", "main"}, 1, []string{"new.go:8", "Coverage of the changed lines is too low", "How to accept"}},
		{"change alone excluded", []string{"--changed-min", "80", "--base", "main", "--exclude", "new.go"}, 0, []string{"none has code", "100.0%"}},
		{"no base", []string{"--changed-min", "80"}, 2, []string{"needs --base"}},
		{"base that is not there", []string{"--changed-min", "80", "--base", "nowhere"}, 2, []string{"neither in the clone nor at origin"}},
		{"reports", []string{"--cobertura", filepath.Join(dir, "r", "coverage.xml"), "--profile", filepath.Join(dir, "r", "merged.out")}, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, output := slipway(t, append([]string{"coverage", profile, "--root", dir}, test.args...)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d:\n%s", code, test.code, output)
			}
			for _, w := range test.want {
				if !strings.Contains(output, w) {
					t.Errorf("%q is not in\n%s", w, output)
				}
			}
		})
	}
	if code, output := slipway(t, "coverage", "verify", "--root", dir, filepath.Join(dir, "r", "coverage.xml")); code != 0 || !strings.Contains(output, "2 files") {
		t.Errorf("verify: exit code %d: %s", code, output)
	}
	if code, output := slipway(t, "coverage", "verify", "--root", t.TempDir(), filepath.Join(dir, "r", "coverage.xml")); code != 1 || !strings.Contains(output, "not in the repository") {
		t.Errorf("verify elsewhere: exit code %d: %s", code, output)
	}
	empty := put("empty.out", "mode: set\n")
	if code, output := slipway(t, "coverage", empty, "--root", dir); code != 2 || !strings.Contains(output, "nothing was measured") {
		t.Errorf("empty profile: exit code %d: %s", code, output)
	}
}
