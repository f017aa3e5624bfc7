package runner

import (
	"bytes"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func TestPredefinedVariables(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.Deploy = true
	sha := p.git("rev-parse", "HEAD")
	r := p.run(job("unit tests: [a]", `
echo "names: $CI_JOB_NAME, $CI_JOB_NAME_SLUG, $CI_JOB_STAGE, $CI_JOB_STATUS"
echo "numbers: $CI_PIPELINE_ID $CI_PIPELINE_IID $CI_JOB_ID $CI_NODE_INDEX/$CI_NODE_TOTAL"
echo "server: $CI $GITLAB_CI $SLIPWAY"
echo "commit: $CI_COMMIT_SHA $CI_COMMIT_SHORT_SHA"
[ "$PWD" = "$CI_PROJECT_DIR" ] && [ "${CI_PROJECT_DIR#"$CI_BUILDS_DIR"/}" = acme/app ] && echo "folders are right"
[ "$(git rev-parse HEAD)" = "$CI_COMMIT_SHA" ] && echo "head is right"
[ -d "$TMPDIR" ] && [ "$(ls "$TMPDIR")" = run ] && touch "$TMPDIR/x" && echo "own temporary folder"
echo "environment: $CI_ENVIRONMENT_NAME $CI_ENVIRONMENT_SLUG $CI_ENVIRONMENT_URL $CI_ENVIRONMENT_ACTION $CI_ENVIRONMENT_TIER"`,
		func(j *pipeline.Job) {
			j.Parallel, j.Instance = 3, 2
			j.Environment = &pipeline.Environment{Name: "staging", URL: "https://staging.example.com", DeploymentTier: "staging"}
		}))
	p.wantLog(r, "unit tests: [a]",
		"names: unit tests: [a], unit-tests---a, test, running",
		"numbers: 1 1 10001 2/3",
		"server: true true true",
		"commit: "+sha+" "+sha[:8],
		"folders are right", "head is right", "own temporary folder",
		"environment: staging staging https://staging.example.com start staging")
}

func TestFileVariables(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	plan := planOf(job("j", `cat "$KUBECONFIG"; stat -c %a "$KUBECONFIG"; echo "$KUBECONFIG" >path; cat "$OTHER"`,
		variables("OTHER=$KUBECONFIG", "TEXT=text"), artifacts(pipeline.Artifacts{Paths: []string{"path"}})))
	plan.Project = []pipeline.Variable{{Key: "KUBECONFIG", Value: "apiVersion: v1 $TEXT\nkind: Config\n", File: true}}
	r := p.runPlan(plan)
	p.wantLog(r, "j", "apiVersion: v1 text", "kind: Config", "644", "apiVersion: v1 text")
}

func TestMaskedVariables(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.Output = true
	plan := planOf(job("j", `echo "token is $TOKEN"; printf %s "${TOKEN%????}"; sleep 0.1; echo "${TOKEN#??????????}"; echo "$TOKEN" | base64; cat "$KEY"; echo $OTHER`))
	plan.Project = []pipeline.Variable{
		{Key: "TOKEN", Value: "s3cr3t-t0ken-1", Masked: true}, {Key: "KEY", Value: "line one\nline two\n", Masked: true, File: true},
	}
	plan.Run = []pipeline.Variable{{Key: "OTHER", Value: "given-here", Masked: true}}
	r := p.runPlan(plan)
	p.wantLog(r, "j", "token is [MASKED]", "[MASKED]", "czNjcjN0LXQwa2VuLTEK", "[MASKED]", "[MASKED]", "!s3cr3t", "!line one", "!given-here")
	for _, u := range p.updates {
		if strings.Contains(u.Message, "s3cr3t") {
			t.Errorf("an update shows the secret: %s", u.Message)
		}
	}
}

func TestMaskingWriter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		secrets []string
		pieces  []string
		want    string
	}{
		{"whole", []string{"secret"}, []string{"a secret!"}, "a [MASKED]!"},
		{"in pieces", []string{"secret"}, []string{"a se", "c", "ret!"}, "a [MASKED]!"},
		{"a beginning that is none", []string{"secret"}, []string{"sec", "ond"}, "second"},
		{"a beginning at the end", []string{"secret"}, []string{"the sec"}, "the sec"},
		{"the longer of two", []string{"pass", "password"}, []string{"password pass"}, "[MASKED] [MASKED]"},
		{"the shorter in what was held back", []string{"pass", "password"}, []string{"passwor"}, "[MASKED]wor"},
		{"repeated beginnings", []string{"aab"}, []string{"aa", "aab"}, "aa[MASKED]"},
		{"none", nil, []string{"text"}, "text"},
		{"empty ones", []string{""}, []string{"text"}, "text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			m := newMaskingWriter(&out, tt.secrets)
			for _, piece := range tt.pieces {
				if n, err := m.Write([]byte(piece)); n != len(piece) || err != nil {
					t.Fatalf("Write: %d, %v", n, err)
				}
			}
			if err := m.Flush(); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("got %q, want %q", out.String(), tt.want)
			}
		})
	}
}

func TestTokensAreMasked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"https://x:glpat-abcdefghijklmnopqrst@host/\n", "https://x:glpat-[MASKED]@host/\n"},
		{"token glrt-t1_abc.def next\n", "token glrt-[MASKED] next\n"},
		{"the prefix glpat- alone\n", "the prefix glpat- alone\n"},
		{"/path?private_token=abcdef123&X-AMZ-Signature=deadbeef next", "/path?private_token=[MASKED]&X-AMZ-Signature=[MASKED] next"},
		{"private_token=not-in-a-url", "private_token=not-in-a-url"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			for size := 1; size <= len(tt.text); size++ {
				var out bytes.Buffer
				m := newMaskingWriter(&out, nil)
				for part := range slices.Chunk([]byte(tt.text), size) {
					_, _ = m.Write(part)
				}
				_ = m.Flush()
				if out.String() != tt.want {
					t.Errorf("in pieces of %d: got %q, want %q", size, out.String(), tt.want)
				}
			}
		})
	}
}

// However a text is cut, no secret passes, and the result is that of the whole text.
func TestMaskingWriterPieces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 1, 5, -1)
		secrets := rapid.SliceOfN(letters, 1, 3).Draw(t, "secrets")
		text := rapid.StringOfN(rapid.RuneFrom([]rune("abcd")), 0, 40, -1).Draw(t, "text")
		var whole, cut bytes.Buffer
		w, c := newMaskingWriter(&whole, secrets), newMaskingWriter(&cut, secrets)
		_, _ = w.Write([]byte(text))
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			_, _ = c.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		_, _ = w.Flush(), c.Flush()
		if whole.String() != cut.String() {
			t.Fatalf("whole %q, cut %q", whole.String(), cut.String())
		}
		for _, s := range secrets {
			if strings.Contains(strings.ReplaceAll(cut.String(), masked, "\x00"), s) {
				t.Fatalf("%q passed: %q", s, cut.String())
			}
		}
	})
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, log, pattern, want string }{
		{"Go's total", "ok pkg coverage: 50.0% of statements\ntotal:\t\t(statements)\t\t83.4%\n", `total:\s+\(statements\)\s+\d+.\d+%`, "83.4"},
		{"the last line", "coverage: 10%\ncoverage: 20%\n", `coverage: \d+%`, "20"},
		{"a group", "lines 12 of 90.5 percent\n", `lines \d+ of (\d+\.\d+)`, "90.5"},
		{"colours", "coverage: \x1b[32m77.7%\x1b[0m\n", `coverage: \d+\.\d+%`, "77.7"},
		{"no newline at the end", "coverage: 5%", `coverage: \d+%`, "5"},
		{"nothing", "no\n", `coverage: \d+%`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := coverageOf(strings.NewReader(tt.log), tt.pattern)
			if got != tt.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
	if _, err := coverageOf(strings.NewReader(""), "("); err == nil {
		t.Error("a broken pattern was accepted")
	}
}

func TestCoverageOfAJob(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	r := p.run(job("j", "echo 'total: 83.4%'", func(j *pipeline.Job) { j.Coverage = `total: \d+\.\d+%` }))
	if got := state(r, "j").Coverage; got != "83.4" {
		t.Errorf("got %q", got)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		committed bool
		strategy  string
		want      []string
	}{
		{"uncommitted changes come along", false, "", []string{"edited", "untracked"}},
		{"unless only the commit is wanted", true, "", []string{"a project", "!untracked\n"}},
		{"no sources", false, "none", []string{"no README", "!untracked\n"}},
		{"an empty folder", false, "empty", []string{"no README"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, map[string]string{".gitignore": "ignored\n"})
			p.write("README", "edited\n")
			p.write("new", "untracked\n")
			p.write("ignored", "")
			p.options.CommittedOnly = tt.committed
			r := p.run(job("j", "[ ! -e ignored ]; cat README 2>/dev/null || echo no README; cat new 2>/dev/null || true", variables("GIT_STRATEGY="+tt.strategy)),
				job("other", "echo change >>README; git diff --stat"), job("last", "git diff --exit-code; [ -z \"$(git diff)\" ]", stage("next"), variables("GIT_STRATEGY=")))
			p.wantLog(r, "j", tt.want...)
			if s := state(r, "last"); s.Status != Success {
				t.Errorf("the checkout of the last job is not clean:\n%s", p.log(r, "last"))
			}
		})
	}
}

func TestSubmodules(t *testing.T) {
	t.Parallel()
	library := newProject(t, map[string]string{"lib.txt": "library\n"})
	p := newProject(t, nil)
	p.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library.dir, "lib")
	p.git("commit", "--quiet", "-m", "submodule")
	r := p.run(job("j", "cat lib/lib.txt", variables("GIT_SUBMODULE_STRATEGY=recursive")))
	p.wantLog(r, "j", "library")
}

// nestedSubmodules makes a project with the submodule lib, which has the submodule deep.
func nestedSubmodules(t *testing.T) *project {
	t.Helper()
	add := func(p, module *project, name string) {
		p.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", module.dir, name)
		p.git("commit", "--quiet", "-m", "submodule")
	}
	deep, library, p := newProject(t, map[string]string{"deep.txt": "deep\n"}), newProject(t, map[string]string{"lib.txt": "library\n"}), newProject(t, nil)
	add(library, deep, "deep")
	add(p, library, "lib")
	return p
}

func TestNestedSubmodules(t *testing.T) {
	t.Parallel()
	p := nestedSubmodules(t)
	show := "for f in lib/lib.txt lib/deep/deep.txt; do [ -e $f ] && echo has $f || echo no $f; done"
	jobs := []*pipeline.Job{
		job("unset", show), job("none", show, variables("GIT_SUBMODULE_STRATEGY=none")), job("normal", show, variables("GIT_SUBMODULE_STRATEGY=normal")),
		job("recursive", show+"; git -C lib/deep status --porcelain; cat lib/deep/deep.txt", variables("GIT_SUBMODULE_STRATEGY=recursive")),
		job("other path", show, variables("GIT_SUBMODULE_STRATEGY=recursive", "GIT_SUBMODULE_PATHS=absent/*")),
		job("wrong", "echo it ran", variables("GIT_SUBMODULE_STRATEGY=all")),
	}
	jobs[4].AllowFailure = true
	check := func(r Result) {
		t.Helper()
		p.wantLog(r, "unset", "no lib/lib.txt", "no lib/deep/deep.txt")
		p.wantLog(r, "none", "no lib/lib.txt", "no lib/deep/deep.txt")
		p.wantLog(r, "normal", "has lib/lib.txt", "no lib/deep/deep.txt")
		p.wantLog(r, "recursive", "has lib/lib.txt", "has lib/deep/deep.txt", "deep")
		p.wantLog(r, "wrong", "!it ran\n")
		if s := state(r, "wrong"); s.Status != Failed || !strings.Contains(s.Error, `GIT_SUBMODULE_STRATEGY is "all"`) {
			t.Errorf("wrong: %+v", s)
		}
		if strings.Contains(p.log(r, "other path"), "has lib") {
			t.Errorf("GIT_SUBMODULE_PATHS has no effect:\n%s", p.log(r, "other path"))
		}
	}
	// The work tree has lib, but not lib/deep: that comes from its URL. Then both are there.
	check(p.run(jobs...))
	p.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", "--recursive")
	check(p.run(jobs...))
}

// The history of submodules is as deep as the project's, or as GIT_SUBMODULE_DEPTH says.
func TestDepthOfSubmodules(t *testing.T) {
	t.Parallel()
	p := nestedSubmodules(t)
	for _, message := range []string{"two", "three"} {
		p.git("-C", "lib", "commit", "--quiet", "--allow-empty", "-m", message)
	}
	p.git("add", "lib")
	p.git("commit", "--quiet", "-m", "more")
	count := "echo [$(git -C lib rev-list --count HEAD)]"
	normal := "GIT_SUBMODULE_STRATEGY=normal"
	r := p.run(
		job("of the project", count, variables(normal, "GIT_DEPTH=1")),
		job("two", count, variables(normal, "GIT_SUBMODULE_DEPTH=2")), job("all", count, variables(normal, "GIT_DEPTH=1", "GIT_SUBMODULE_DEPTH=0")),
		job("flags", count, variables(normal, "GIT_SUBMODULE_UPDATE_FLAGS=--depth 1 --jobs 2")),
		job("bad flag", "echo it ran", variables(normal, "GIT_SUBMODULE_UPDATE_FLAGS=--none-such")))
	all := p.git("-C", "lib", "rev-list", "--count", "HEAD")
	for name, want := range map[string]string{"of the project": "1", "two": "2", "all": all, "flags": "1"} {
		p.wantLog(r, name, "["+want+"]")
	}
	if got := state(r, "bad flag"); got.Status != Failed {
		t.Errorf("bad flag: %+v", got)
	}
}

func TestUntrackedRepositories(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{".gitignore": "vendored/\n"})
	for _, nested := range []string{"clone", "sub/empty", "vendored"} {
		p.git("init", "--quiet", nested)
		p.write(nested+"/file", "nested\n")
	}
	p.git("-C", "clone", "add", "file")
	p.git("-C", "clone", "commit", "--quiet", "-m", "nested")
	p.write("sub/new", "untracked\n")
	r := p.run(job("j", "[ ! -e clone ] && [ ! -e sub/empty ] && [ ! -e vendored ] && cat sub/new"))
	p.wantLog(r, "j", "untracked")
	for nested, want := range map[string]bool{"clone": true, "sub/empty": true, "vendored": false} {
		t.Run(nested, func(t *testing.T) {
			if got := p.said(Note, nested+" is a separate repository and not a submodule"); got != want {
				t.Errorf("a note on %s: %t, want %t", nested, got, want)
			}
		})
	}
	if status := p.git("status", "--porcelain"); status != "?? clone/\n?? sub/" {
		t.Errorf("the project's index has changed: %s", status)
	}
}

// TestHugeVariable: Linux starts no process with a variable of 128 KiB, and its own error names none.
func TestHugeVariable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		bytes int
		want  Status
	}{{"fits", 128<<10 - 1, Success}, {"128 KiB", 128 << 10, Failed}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			r := p.run(job("j", "echo ${#HUGE}", variables("HUGE="+strings.Repeat("x", tt.bytes-len("HUGE=")))))
			s := state(r, "j")
			if s.Status != tt.want || tt.want == Failed && (s.Failure != SystemFailure || !strings.Contains(s.Error, "the variable HUGE has "+strconv.Itoa(tt.bytes)+" bytes")) {
				t.Errorf("got %+v\n%.2000s", s, p.logs(r))
			}
		})
	}
	t.Run("as a file", func(t *testing.T) {
		t.Parallel()
		p := newProject(t, nil)
		plan := planOf(job("j", "wc -c <$HUGE"))
		plan.Project = []pipeline.Variable{{Key: "HUGE", Value: strings.Repeat("x", 128<<10), File: true}}
		p.wantLog(p.runPlan(plan), "j", "131072")
	})
}

func TestMachineEnvironment(t *testing.T) {
	t.Parallel()
	got := machineEnvironment([]string{"PATH=/bin", "AWS_SECRET=x", "LC_ALL=C", "LC=x", "TOKEN=t", "https_proxy=p", "GOPROXY=off", "HOME=/home/someone"})
	if want := "PATH=/bin LC_ALL=C https_proxy=p GOPROXY=off"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := machineEnvironment(nil); len(got) != 1 || !strings.HasPrefix(got[0], "PATH=/") {
		t.Errorf("without a PATH: %q", got)
	}
	if got := withPath([]string{"HOME=/h", "PATH=/bin"}, "/tools"); got[1] != "PATH=/tools:/bin" {
		t.Errorf("got %q", got)
	}
}

func TestToolsComeFirst(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	dir := t.TempDir()
	q := &project{t: t, dir: dir}
	q.write("git", "#!/bin/sh\necho our git\n")
	r := p.run(job("j", "command -v mytool || echo none"))
	p.wantLog(r, "j", "none")
	p.options.Tools = dir
	r = p.run(job("j", "echo ${PATH%%:*}"))
	p.wantLog(r, "j", filepath.Clean(dir))
}

// The shell of GitLab's runner reads GITLAB_ENV by `while read -r line; do export "$line"; done`.
func TestJobVariables(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, written, want string
	}{
		{"assignments", `A=1\nB=two words\nC=\n`, "[1][two words][]"},
		{"nothing is expanded or unquoted", `A="1"\nB=$A\n`, `["1"][$A][]`},
		{"blanks around", ` A=1 \n\tB= 2\n`, "[1][ 2][]"},
		{"the last line breaks", `A=1\nB=2`, "[1][][]"},
		{"a carriage return is a part of the value", `A=1\r\n`, "[1\r][][]"},
		{"later ones win, and can append", `A=1\nA=2\nA+=3\n`, "[23][][]"},
		{"names without values", `A=1\nB\n`, "[1][][]"},
		{"a comment", `A=1\n# no\nB=2\n`, "bash: line 1: export: `# no': not a valid identifier"},
		{"an empty line", `A=1\n\n`, "bash: line 1: export: `': not a valid identifier"},
		{"export", `export A=1\n`, "bash: line 1: export: `export A=1': not a valid identifier"},
		{"a name that is none", `a-b=1\n`, "bash: line 1: export: `a-b=1': not a valid identifier"},
		{"a variable of the shell", `UID=5\n`, "bash: line 1: UID: readonly variable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			r := p.run(job("j", "printf '"+tt.written+"' >>$GITLAB_ENV", func(j *pipeline.Job) { j.AfterScript = []string{`printf '[%s][%s][%s]\n' "$A" "$B" "$C"`} }))
			p.want(r, RunSuccess, "j: success")
			p.wantLog(r, "j", tt.want)
		})
	}
}

func TestJobVariablesThatFailTheNextSteps(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	r := p.run(
		job("kept", "echo 'no variable' >>$GITLAB_ENV; echo x >f", artifacts(pipeline.Artifacts{Paths: []string{"f"}})),
		job("nothing to keep", "echo 'no variable' >>$GITLAB_ENV"),
		job("removed", `rm "$GITLAB_ENV"`, func(j *pipeline.Job) { j.AfterScript = []string{`echo "A=1" >>"$GITLAB_ENV"`} }))
	p.want(r, RunFailed, "kept: failed", "nothing to keep: success", "removed: success")
	if got := state(r, "kept"); got.ExitCode != 1 || got.Failure != ScriptFailure || !strings.Contains(got.Error, "not a valid identifier") {
		t.Errorf("%+v", got)
	}
}
