package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// FuzzCompile compiles any two files for any event: the result is a plan or [pipeline.Errors], never a panic.
func FuzzCompile(f *testing.F) {
	addCases(f, func(a *txtar.Archive) {
		main, other := "", ""
		for _, file := range a.Files {
			switch {
			case file.Name == ".gitlab-ci.yml":
				main = string(file.Data)
			case other == "" && strings.HasSuffix(file.Name, ".yml"):
				other = string(file.Data)
			}
		}
		f.Add(main, other, uint8(0))
	})
	f.Add("a: {script: [x], identity: google_cloud, secrets: {A: {vault: a/b@c}, B: {aws_secrets_manager: d#e}}}\n"+
		"b: {run: [{name: s, step: {git: {url: u, rev: v}}, inputs: {i: 1}}], inputs: {i: {default: 1, type: number}}}\n", "", uint8(0))
	f.Add(withMissingParts, "", uint8(0))
	events := pipeline.StandardEvents()
	f.Fuzz(func(t *testing.T, main, other string, which uint8) {
		files := fstest.MapFS{
			".gitlab-ci.yml": {Data: []byte(main)},
			"t.yml":          {Data: []byte(other)},
			"ci/a.yml":       {Data: []byte(other)},
		}
		project, err := pipeline.Load(files, pipeline.Options{})
		if err != nil {
			t.Fatal(err)
		}
		event := events[int(which)%len(events)]
		plan, err := project.Plan(context.Background(), event)
		var wrong pipeline.Errors
		if err != nil && (!errors.As(err, &wrong) || len(wrong) == 0) {
			t.Fatalf("a foreign error: %v", err)
		}
		if err != nil {
			// The rest of it, without what is elsewhere.
			partly, loadErr := pipeline.Load(files, pipeline.Options{SkipMissing: func(*pipeline.Error) bool { return true }})
			if loadErr != nil {
				t.Fatal(loadErr)
			}
			if _, err := partly.Plan(context.Background(), event); err != nil && !errors.As(err, &wrong) {
				t.Fatalf("a foreign error: %v", err)
			}
			return
		}
		for _, job := range plan.Jobs {
			plan.Environment(job, nil, nil)
			if _, err := json.Marshal(job.GitLab()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// addCases adds every eighth conformance case as a seed.
func addCases(f *testing.F, add func(*txtar.Archive)) {
	f.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join("testdata", "conformance"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".txtar") {
			return err
		}
		if n++; n%8 != 0 {
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			add(txtar.Parse(text))
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
}
