package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"mvdan.cc/sh/v3/shell"
)

var update = flag.Bool("update", false, "write the golden files again")

// A transcript is a folder of files and what commands print in it: sections named "slipway ARGS" hold stdout, then stderr
// after a line "[stderr]", then "[exit N]" unless that is 0. $DIR is the folder.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/transcripts/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no transcripts (%v)", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			testTranscript(t, name, "\n", *update)
		})
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar")+" with CRLF", func(t *testing.T) {
			t.Parallel()
			testTranscript(t, name, "\r\n", false)
		})
	}
}

// testTranscript writes the files of a transcript with the line breaks of a platform, and compares what the commands print, which is the
// same on all of them.
func testTranscript(t *testing.T, name, lineBreak string, update bool) {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, file := range archive.Files {
		line, ok := strings.CutPrefix(file.Name, "slipway ")
		if !ok {
			fill(t, filepath.Join(dir, file.Name), bytes.ReplaceAll(file.Data, []byte("\n"), []byte(lineBreak)))
			continue
		}
		got := transcribe(t, dir, line)
		if diff := cmp.Diff(string(file.Data), got); diff != "" && !update {
			t.Errorf("%s (-want +got):\n%s", file.Name, diff)
		}
		archive.Files[i].Data = []byte(got)
	}
	if update {
		fill(t, name, txtar.Format(archive))
	}
}

func transcribe(t *testing.T, dir, line string) string {
	t.Helper()
	args, err := shell.Fields(line, func(name string) string {
		if name == "DIR" {
			return dir
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := command(t, append(args, inFolder(args, dir)...)...)
	out := stdout
	if stderr != "" {
		out += "[stderr]\n" + stderr
	}
	if code != 0 {
		out += fmt.Sprintf("[exit %d]\n", code)
	}
	return strings.ReplaceAll(out, dir, "$DIR")
}

// inFolder is the flag that sends a command to a folder, for the commands that have it.
func inFolder(args []string, dir string) []string {
	switch args[0] {
	case "plan", "lint", "matrix", "compile", "diff":
		return []string{"-C", dir}
	default:
		return nil
	}
}

// command runs the whole command as main does.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

func fill(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
