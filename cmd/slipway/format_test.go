package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/internal/gate/licenses"
)

func TestVersionAsJSON(t *testing.T) {
	t.Parallel()
	command := newVersionCommand()
	var out bytes.Buffer
	command.SetOut(&out)
	command.SetArgs([]string{"--format", "json"})
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"version": version(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLicenseVerdicts(t *testing.T) {
	t.Parallel()
	modules := []licenses.Module{
		{Path: "example.com/a", Version: "v1.0.0", Licenses: []string{"MIT"}},
		{Path: "example.com/b", Version: "v1.0.0", Licenses: []string{"MIT", "GPL-3.0"}},
		{Path: "example.com/own/c", Version: "v1.0.0"},
	}
	verdicts, red := judge(modules, []string{"MIT"}, []string{"example.com/own/..."})
	var states []string
	for _, v := range verdicts {
		states = append(states, v.State)
	}
	if diff := cmp.Diff([]string{"allowed", "not_allowed", "excepted"}, states); diff != "" || red != 1 {
		t.Errorf("%d are not allowed; %s", red, diff)
	}
	if got, want := verdicts[2].String(), "excepted     example.com/own/c v1.0.0: none that is recognized"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
