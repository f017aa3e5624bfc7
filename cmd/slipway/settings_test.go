package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Flags win over the environment, the environment over the file, the file over the repository.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("a: {script: [x], rules: [{if: $CI_SERVER_HOST == $WANT}]}\n"))
	fill(t, filepath.Join(dir, "deep", "er", "file"), nil)
	fill(t, filepath.Join(dir, "settings.env"), []byte("FROM_FILE=yes\n"))
	initRepository(t, dir)
	runGit(t, dir, "remote", "add", "origin", "https://origin.example.com/acme/o")
	plan := func(host string, args ...string) bool {
		t.Helper()
		code, stdout, stderr := command(t, slices.Concat([]string{"plan", "-C", filepath.Join(dir, "deep", "er"), "--var", "WANT=" + host}, args)...)
		if code != 0 {
			t.Fatalf("%v: %d %s", args, code, stderr)
		}
		return strings.Contains(stdout, "1 job")
	}
	if !plan("origin.example.com") {
		t.Error("origin does not count, or the project above is not found")
	}
	fill(t, filepath.Join(dir, ".slipway.yml"), []byte("host: file.example.com\nvariables: settings.env\nplan: {default-branch: trunk}\nrun: {jobs: 1}\n"))
	if !plan("file.example.com") {
		t.Error("the file does not count")
	}
	t.Setenv("SLIPWAY_HOST", "env.example.com")
	if !plan("env.example.com") {
		t.Error("the environment does not count")
	}
	if !plan("flag.example.com", "--host", "flag.example.com") {
		t.Error("the flag does not count")
	}
	code, stdout, stderr := command(t, "config", "--json", "-C", dir)
	var settings []settingJSON
	if err := json.Unmarshal([]byte(stdout), &settings); code != 0 || err != nil {
		t.Fatalf("%d %v\n%s%s", code, err, stdout, stderr)
	}
	for _, want := range []settingJSON{
		{Name: "host", Value: "env.example.com", Source: "SLIPWAY_HOST"},
		{Name: "project-path", Value: "acme/o", Source: "git remote origin"},
		{Name: "variables", Value: filepath.Join(dir, "settings.env"), Source: ".slipway.yml:2"},
		{Name: "default-branch", Value: "trunk", Source: ".slipway.yml:3", Commands: []string{"plan"}},
	} {
		t.Run(want.Name, func(t *testing.T) {
			if !slices.ContainsFunc(settings, func(s settingJSON) bool {
				return s.Name == want.Name && s.Value == want.Value && s.Source == want.Source && (want.Commands == nil || slices.Equal(s.Commands, want.Commands))
			}) {
				t.Errorf("no %+v in %+v", want, settings)
			}
		})
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"hosts: x\n":                 `.slipway.yml:1: no flag or command "hosts"; did you mean "host"?`,
		"plan:\n  brnch: x\n":        `.slipway.yml:2: no flag or command "brnch"; did you mean "branch"?`,
		"format: colour\n":           ".slipway.yml:1: format: want one of",
		"host: [a, b]\n":             ".slipway.yml:1: host: want one value",
		"- a\n":                      ".slipway.yml:1: want a map",
		"lint: {colour: red}\n":      "unknown key colour",
		"lint:\n  strict: perhaps\n": ".slipway.yml:2: strict:",
		"run: {executr: x}\n":        `no flag or command "executr"; did you mean "executor"?`,
	} {
		t.Run(text, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("a: {script: [x]}\n"))
			fill(t, filepath.Join(dir, ".slipway.yml"), []byte(text))
			name := "plan"
			if strings.HasPrefix(text, "lint") {
				name = "lint"
			}
			if code, _, stderr := command(t, name, "-C", dir); code != 2 || !strings.Contains(stderr, want) {
				t.Errorf("%q: %d %s", text, code, stderr)
			}
		})
	}
	dir := t.TempDir()
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("a: {script: [x], image: b}\n"))
	fill(t, filepath.Join(dir, ".slipway.yml"), []byte("lint:\n  strict: true\n  rules: {image-not-pinned: off}\nvar: {A: b}\n"))
	if code, stdout, stderr := command(t, "lint", "-C", dir); code != 0 {
		t.Errorf("flags beside other settings of lint: %d\n%s%s", code, stdout, stderr)
	}
}

func TestProjectFolder(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".git/HEAD", ".gitlab-ci.yml", "a/b/file", "services/api/.gitlab-ci.yml", "nested/.git/HEAD", "nested/x/file"} {
		fill(t, filepath.Join(dir, name), nil)
	}
	for _, c := range []struct {
		dir   string
		named bool
		want  string
	}{
		{"a/b", false, ""}, {"a/b", true, ""}, {"", false, ""},
		{"services/api", false, ""}, {"services/api", true, "services/api"},
		{"nested/x", false, "nested/x"},
	} {
		t.Run(c.dir, func(t *testing.T) {
			if got := projectFolder(filepath.Join(dir, c.dir), ".gitlab-ci.yml", c.named); got != filepath.Join(dir, c.want) {
				t.Errorf("%+v: %s", c, got)
			}
		})
	}
}

func TestTyposAndVersion(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"plam": `did you mean "plan"?`, "plan --brnch x": "did you mean --branch?", "plan --event pusch": `did you mean "push"?`,
	} {
		t.Run(line, func(t *testing.T) {
			if code, _, stderr := command(t, strings.Fields(line)...); code != 2 || !strings.Contains(stderr, want) {
				t.Errorf("%s: %d %s", line, code, stderr)
			}
		})
	}
	if code, stdout, _ := command(t, "--version"); code != 0 || !strings.HasPrefix(stdout, "slipway ") {
		t.Error(stdout)
	}
}

func TestPathsInTheTree(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		typed     string
		separator rune
		want      string
	}{
		{"ci/main.yml", '/', "ci/main.yml"},
		{"./.gitlab-ci.yml", '/', ".gitlab-ci.yml"},
		{`ci\main.yml`, '\\', "ci/main.yml"},
		{`.\ci\..\src/main.go`, '\\', "src/main.go"},
		{`a\b`, '/', `a\b`}, // a file's name, where that is possible
	} {
		t.Run(tt.typed, func(t *testing.T) {
			if got := inTree(tt.typed, tt.separator); got != tt.want {
				t.Errorf("%q: %q, want %q", tt.typed, got, tt.want)
			}
		})
	}
}

func TestConfigInTheFolderThatIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fill(t, filepath.Join(dir, "ci", "main.yml"), []byte("a: {script: [x], rules: [{changes: [src/*.go]}]}\n"))
	for _, args := range [][]string{{"plan", "--changed", "./src/a.go"}, {"lint"}, {"compile"}, {"matrix"}} {
		code, stdout, stderr := command(t, append(args, "-C", dir, "--config", "./ci/../ci/main.yml")...)
		if code != 0 || args[0] == "plan" && !strings.Contains(stdout, "1 job") {
			t.Errorf("%v: %d\n%s%s", args, code, stdout, stderr)
		}
	}
}
