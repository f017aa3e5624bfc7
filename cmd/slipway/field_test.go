package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"mvdan.cc/sh/v3/shell"
)

// varying matches what differs from run to run: times, and commits. Jobs say that they start while others finish.
var (
	varying = regexp.MustCompile(`\b(\d+\.\d+s|[0-9a-f]{8})\b`)
	started = regexp.MustCompile(`(?m)^▶ .*\n`)
)

// TestField has inputs of users on which the command once failed, and variations of them. Files and sections "sh" prepare a
// repository; sections "slipway ARGS" are transcripts as those of [TestTranscripts], in which XX stands for times and commits.
func TestField(t *testing.T) {
	names, err := filepath.Glob("testdata/field/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases (%v)", err)
	}
	for _, name := range names {
		golden, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			f, dir := newField(t), t.TempDir()
			f.git(dir, "init", "--quiet")
			t.Chdir(dir)
			for i, file := range archive.Files {
				line, isTranscript := strings.CutPrefix(file.Name, "slipway ")
				switch {
				case file.Name == "sh":
					f.shell(dir, string(file.Data))
				case !isTranscript:
					fill(t, filepath.Join(dir, file.Name), file.Data)
				default:
					got := fieldTranscript(t, dir, line)
					if diff := cmp.Diff(string(file.Data), got); diff != "" && !*update {
						t.Errorf("%s (-want +got):\n%s", file.Name, diff)
					}
					archive.Files[i].Data = []byte(got)
				}
			}
			if *update {
				fill(t, golden, txtar.Format(archive))
			}
		})
	}
}

func (f *field) shell(dir, script string) {
	f.t.Helper()
	cmd := exec.CommandContext(f.t.Context(), "sh", "-eu")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func fieldTranscript(t *testing.T, dir, line string) string {
	t.Helper()
	args, err := shell.Fields(line, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer // what is printed to either, in its order
	if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != 0 {
		fmt.Fprintf(&out, "[exit %d]\n", code)
	}
	text := started.ReplaceAllString(strings.ReplaceAll(out.String(), dir, "$DIR"), "")
	return varying.ReplaceAllString(text, "XX")
}
