package pipeline_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func TestSyntaxErrors(t *testing.T) {
	t.Parallel()
	const job = "build:\n  stage: build\n  script:\n    - make\n"
	for name, test := range map[string]struct{ config, want string }{
		"tab": {
			"build:\n\tscript: [make]\n",
			".gitlab-ci.yml:2:1: yaml: a tab indents this line (indent with spaces only)",
		},
		"tab after spaces": {
			"build:\n  script:\n  \t- make\n",
			".gitlab-ci.yml:3:3: yaml: a tab indents this line (indent with spaces only)",
		},
		"item between two columns": {
			job + "   - more\n",
			".gitlab-ci.yml:5:4: yaml: this line begins in column 4, no block around it does",
		},
		"key between two columns": {
			"default:\n  tags:\n  - a\nbuild:\n  stage: build\n script: [make]\n",
			".gitlab-ci.yml:6:2: yaml: this line begins in column 2, no block around it does",
		},
		"a text below | is no block": {
			"build:\n  script:\n    - |\n          make\n       all\n    - make test\n   - more\n",
			".gitlab-ci.yml:7:4: yaml: this line begins in column 4, no block around it does",
		},
		"key too deep": {
			"build:\n  stage: build\n    image: alpine\n",
			".gitlab-ci.yml:3:10: yaml: a second `: ` in one value, or a key that is indented too deep",
		},
		"first character": {
			"build:\n  script:\n    - @make\n",
			".gitlab-ci.yml:3:7: yaml: no value begins with @ (put the value in quotes)",
		},
		"anchor of another file": {
			job + "  <<: *base\n",
			".gitlab-ci.yml:5:7: yaml: there is no anchor &base above *base in this file",
		},
		"conflict": {
			"build:\n<<<<<<< HEAD\n  script: [make]\n=======\n  script: [make all]\n>>>>>>> feature\n",
			".gitlab-ci.yml:2:1: yaml: this is an unresolved merge conflict",
		},
		"Latin-1": {
			"build:\n  script: [echo gr\xfc\xdf]\n",
			".gitlab-ci.yml:2:19: yaml: the byte 0xfc is not valid UTF-8 (save the file as UTF-8)",
		},
		"Latin-1 below a comment in Latin-1": {
			"# gr\xfc\xdf\nbuild:\n  script:\n    - |\n      echo\n      gr\xfc\xdf\n",
			".gitlab-ci.yml:6:9: yaml: the byte 0xfc is not valid UTF-8 (save the file as UTF-8)",
		},
		"another error below a comment in Latin-1": {
			"# gr\xfc\xdf\nbuild:\n\tscript: [make]\n",
			".gitlab-ci.yml:3:1: yaml: a tab indents this line",
		},
		"binary": {
			"\x7fELF\x02\x01\x00",
			".gitlab-ci.yml:1:1: yaml: the byte 0x7f is not valid UTF-8",
		},
		"open quote": {
			"build:\n  script:\n    - \"make\n",
			"a quote that is opened here is not closed",
		},
		"open list": {
			"build:\n  script: [make\n",
			".gitlab-ci.yml:2:1: yaml: a list in [ ] is not closed, or a comma is missing",
		},
		"open list at the end": {
			"test: [\n",
			".gitlab-ci.yml:1:1: yaml: a value is missing (close the brackets that are open, or write the value)",
		},
		"command with a colon": {
			"build:\n  script:\n    - make\n    - echo \"a: 'b'\"\n    - echo \"c\"\n",
			".gitlab-ci.yml:4:19: yaml: this block continues with something that is not one of its keys (put a command with `: ` in quotes as a whole",
		},
		"items in brackets": {
			"spec:\n  inputs:\n    jobs: {default: x}\n---\nbuild:\n  script: [\"make\", $[[ inputs.jobs ]]]\n",
			".gitlab-ci.yml:6:21: yaml: a list in [ ] is not closed, or a comma is missing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			project, err := pipeline.Load(fstest.MapFS{".gitlab-ci.yml": {Data: []byte(test.config)}}, pipeline.Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
			var list pipeline.Errors
			if !errors.As(err, &list) || len(list) != 1 {
				t.Fatalf("got %v, want one error", err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestReadableEncodings(t *testing.T) {
	t.Parallel()
	const config = "build:\n  script:\n    - make\n"
	utf16 := "\xff\xfe"
	for _, c := range []byte(config) {
		utf16 += string([]byte{c, 0})
	}
	for name, text := range map[string]string{
		"byte order mark":          "\ufeff" + config,
		"CRLF":                     strings.ReplaceAll(config, "\n", "\r\n"),
		"UTF-16":                   utf16,
		"Windows-1251 in comments": config + "# \xef\xf0\xe8\r\n    - test # \xe2\xe5\xf2\xea\xe8\n",
	} {
		t.Run(name, func(t *testing.T) {
			project, err := pipeline.Load(fstest.MapFS{".gitlab-ci.yml": {Data: []byte(text)}}, pipeline.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}
