package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// TestUpToDate fails if somebody changed a stage and not what follows from it.
func TestUpToDate(t *testing.T) {
	stale, err := generate("../../..", false)
	if err != nil {
		t.Fatal(err)
	}
	if len(stale) > 0 {
		t.Errorf("not up to date: %s\nrun: go run ./ci/internal/templates", strings.Join(stale, ", "))
	}
}

func TestReadStageRefuses(t *testing.T) {
	t.Parallel()
	const needs = "# Runner: docker\n# GitLab: 17.0, Free\n# Reaches: nothing\n"
	for _, c := range []struct{ name, file, want string }{
		{"no requirements", "# What it is.\n# Runner: docker\nspec:\n  inputs:\n    a: {description: x, default: y}\n---\n# Promises: x. Red: y.\njob: {script: [x]}\n", "what the jobs need"},
		{"no header", "job: {script: [x]}\n", "no header"},
		{"no description", needs + "spec:\n  inputs:\n    a: {default: x}\n---\n# Promises: x. Red: y.\njob: {script: [x]}\n", ":6: the input a has no description"},
		{"no default", needs + "spec:\n  inputs:\n    a: {description: x}\n---\n# Promises: x. Red: y.\njob: {script: [x]}\n", ":6: the input a has no default"},
		{"no promise", needs + "spec:\n  inputs:\n    a: {description: x, default: y}\n---\njob: {script: [x]}\n", "job has no comment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.yml")
			if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := readStage(path); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestRequirements compares what each stage says it needs with what is in its file.
func TestRequirements(t *testing.T) {
	t.Parallel()
	newer := []struct {
		keyword string
		minor   int // of GitLab 17 up to 17.11, then 18.0 is 12
		version string
	}{{`(?m)^  manual_confirmation:`, 1, "17.1"}, {`(?m)^  release:$`, 12, "18.0"}, {`\$\{\{ job\.inputs\.`, 22, "18.10"}}
	reached := []struct{ text, want string }{
		{`\bdefault: docker\.io/`, "docker.io"}, {`\bdefault: gcr\.io/`, "gcr.io"}, {`\bdefault: https://vuln\.go\.dev`, "vuln.go.dev"},
		{`\bgo (test|list|mod|vet|generate)\b|golangci-lint run|gosec -|govulncheck -|ko build|slipway licenses`, "the Go module proxy and checksum database"},
		{`\b(crane|cosign|syft|grype|ko) (manifest|digest|tag|export|sign|verify|scan|login|auth|build)|registry:\$IMAGE|slipway verify-image`, "the registry"},
		{`\bkubectl (version|kustomize|--namespace)|slipway rollout`, "cluster"}, {`\bssh -`, "over ssh"}, {`slipway four-eyes|(?m)^  release:$`, "the API of GitLab"},
		{`\bkeyless\)|slipway verify-image`, "sigstore.dev"}, {`\$\[\[ inputs\.tools_image \]\]`, "the registry of the tools image"}, {`sonar-scanner`, "the SonarQube server"},
	}
	minor := func(version string) int {
		major, rest, _ := strings.Cut(version, ".")
		m, _ := strconv.Atoi(rest)
		if major == "18" {
			m += 12
		}
		return m
	}
	files, err := filepath.Glob("../../*.yml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d stages, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := readStage(file)
		if err != nil {
			t.Fatal(err)
		}
		text := regexp.MustCompile(`(?m)^ *#.*$`).ReplaceAllString(string(data), "")
		version := regexp.MustCompile(`^\d+\.\d+`).FindString(s.gitlab)
		for _, n := range newer {
			if regexp.MustCompile(n.keyword).MatchString(text) && minor(version) < n.minor {
				t.Errorf("%s: it says GitLab %s, but has a keyword of %s (%s)", s.name, version, n.version, n.keyword)
			}
		}
		for _, r := range reached {
			if m := regexp.MustCompile(r.text).FindString(text); m != "" && !strings.Contains(s.reaches, r.want) {
				t.Errorf("%s has %q, but does not say that it reaches %s", s.name, m, r.want)
			}
		}
	}
}

// TestInputsAreNoOptions checks that no input with a regex may begin with a dash, for which a command would take it for an option. In those that may, the
// value is only ever a part of an argument, or a flag's own.
func TestInputsAreNoOptions(t *testing.T) {
	t.Parallel()
	parts := []string{"job", "job_prefix", "acceptance_job", "check_job", "tag_prefix", "environment_prefix", "overlay", "review_overlay", "smoke_path", "smoke_port", "ready_path", "version_path",
		"staging_hosts", "production_hosts", "staging_balancers", "production_balancers", "allowed", "except", "licenses_allowed", "licenses_except"}
	files, err := filepath.Glob("../../*.yml")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, "../../../templates/go-service.yml") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var header struct {
			Spec struct {
				Inputs map[string]struct{ Regex string }
			}
		}
		if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&header); err != nil {
			t.Fatal(err)
		}
		for name, input := range header.Spec.Inputs {
			if input.Regex == "" || slices.Contains(parts, name) {
				continue
			}
			seen++
			for _, value := range []string{"-x", "-x/kustomization.yaml", "./... -x", "-"} {
				if regexp.MustCompile(input.Regex).MatchString(value) {
					t.Errorf("%s: %s may be %q", filepath.Base(file), name, value)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d inputs with a regex", seen)
	}
}
