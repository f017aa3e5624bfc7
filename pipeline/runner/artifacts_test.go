package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// list is a script that prints the files of a checkout which are not of the sources.
const list = `find . -type f -not -path './.git/*' | sort | sed 's#^\./#file #' | grep -v README || true`

func TestArtifacts(t *testing.T) {
	t.Parallel()
	make := `mkdir -p out/deep dist; echo 1 >out/a.txt; echo 2 >out/deep/b.txt; echo 3 >out/c.log; echo 4 >dist/app; chmod 755 dist/app; ln -s a.txt out/link; echo ignored >secret.env`
	for _, tt := range []struct {
		name  string
		spec  pipeline.Artifacts
		after string
		want  []string
		log   string
	}{
		{"a folder", pipeline.Artifacts{Paths: []string{"out/"}}, "", []string{"out/a.txt", "out/c.log", "out/deep/b.txt", "out/link"}, "kept 4 files"},
		{"a glob", pipeline.Artifacts{Paths: []string{"out/**/*.txt"}}, "", []string{"out/a.txt", "out/deep/b.txt"}, ""},
		{"excluded", pipeline.Artifacts{Paths: []string{"out"}, Exclude: []string{"out/**/*.txt", "out/link"}}, "", []string{"out/c.log"}, ""},
		{"excluded from the root", pipeline.Artifacts{Paths: []string{"out"}, Exclude: []string{"$CI_PROJECT_DIR/out/**/*.txt", "out/link"}}, "", []string{"out/c.log"}, ""},
		{"with variables, and from the root", pipeline.Artifacts{Paths: []string{"$CI_PROJECT_DIR/$FOLDER/app"}}, "", []string{"dist/app"}, ""},
		{"untracked", pipeline.Artifacts{Untracked: true}, "", []string{"dist/app", "out/a.txt", "out/c.log", "out/deep/b.txt", "out/link", "secret.env"}, ""},
		{"nothing there", pipeline.Artifacts{Paths: []string{"absent/*"}}, "", nil, "WARNING: absent/*: no matching files"},
		{"outside of the project", pipeline.Artifacts{Paths: []string{"../x", "/etc/passwd"}}, "", nil, "WARNING: /etc/passwd is outside of the project"},
		{"not of a failed job", pipeline.Artifacts{Paths: []string{"out"}}, "false", nil, ""},
		{"of a failed job", pipeline.Artifacts{Paths: []string{"dist"}, When: "on_failure"}, "false", []string{"dist/app"}, ""},
		{"always", pipeline.Artifacts{Paths: []string{"dist"}, When: "always"}, "false", []string{"dist/app"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, map[string]string{".gitignore": "*.env\n"})
			r := p.run(job("a", make+"\n"+tt.after, artifacts(tt.spec), variables("FOLDER=dist")),
				job("b", list+`; [ ! -e dist/app ] || [ -x dist/app ]; [ ! -L out/link ] || cat out/link`, stage("next"), when(pipeline.Always)))
			if s := state(r, "b"); s.Status != Success {
				t.Errorf("b: %+v\n%s", s, p.logs(r))
			}
			kept := []string{}
			root := filepath.Join(r.Dir, jobsFolder, "a", artifactsFolder)
			_ = filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
				if err == nil && !e.IsDir() {
					name, _ := filepath.Rel(root, path)
					kept = append(kept, name)
				}
				return nil
			})
			if diff := cmp.Diff(append([]string{}, tt.want...), kept); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			for _, file := range tt.want {
				if file != "out/link" && !strings.Contains(p.log(r, "b"), "file "+file+"\n") {
					t.Errorf("b has no %s:\n%s", file, p.log(r, "b"))
				}
			}
			if !strings.Contains(p.log(r, "a"), tt.log) {
				t.Errorf("the log has no %q:\n%s", tt.log, p.log(r, "a"))
			}
		})
	}
}

func TestArtifactsKeepFolders(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	r := p.run(job("a", "mkdir -p out/empty out/logs alone; echo x >out/logs/x.log; chmod 711 out/empty",
		artifacts(pipeline.Artifacts{Paths: []string{"out", "alone/"}, Exclude: []string{"**/*.log"}})),
		job("b", `[ -d alone ] && [ -d out/logs ] && [ ! -e out/logs/x.log ]; stat -c %a out/empty`, stage("next")))
	p.want(r, RunSuccess, "a: success", "b: success")
	p.wantLog(r, "b", "711")
}

func TestWhoGetsArtifacts(t *testing.T) {
	t.Parallel()
	makes := func(name string) *pipeline.Job {
		return job(name, "echo "+name+" >"+name+".txt; echo FROM_"+strings.ToUpper(name)+"=yes >"+name+".vars",
			artifacts(pipeline.Artifacts{Paths: []string{"*.txt"}, Reports: map[string]any{"dotenv": name + ".vars"}}))
	}
	for _, tt := range []struct {
		name string
		job  func(*pipeline.Job)
		want []string
	}{
		{"all of earlier stages", func(*pipeline.Job) {}, []string{"a", "b"}},
		{"of needs", needs("b"), []string{"b"}},
		{"of needs with artifacts", func(j *pipeline.Job) {
			j.Needs = []pipeline.Need{{Job: "a", Artifacts: false}, {Job: "b", Artifacts: true}}
		}, []string{"b"}},
		{"no needs", needs(), nil},
		{"of dependencies", func(j *pipeline.Job) { j.Dependencies = []string{"a"} }, []string{"a"}},
		{"no dependencies", func(j *pipeline.Job) { j.Dependencies = []string{} }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			r := p.run(makes("a"), makes("b"), job("c", `ls | grep 'txt$' | sed 's/.txt/ file/' || true; env | sed -n 's/^FROM_\(.*\)=yes/\1 variable/p' | sort`, stage("next"), tt.job))
			var got []string
			for line := range strings.Lines(p.log(r, "c")) {
				if line = strings.TrimSpace(line); strings.HasSuffix(line, " file") || strings.HasSuffix(line, " variable") {
					got = append(got, line)
				}
			}
			var want []string
			for _, w := range tt.want {
				want = append(want, w+" file", strings.ToUpper(w)+" variable")
			}
			sort.Strings(got)
			sort.Strings(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, p.logs(r))
			}
		})
	}
}

func TestReports(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	r := p.run(job("j", "mkdir r; echo '<x/>' >r/junit.xml; echo cov >cov.xml; false", artifacts(pipeline.Artifacts{
		Paths: []string{"cov.xml"},
		Reports: map[string]any{
			"junit": []any{"r/*.xml"}, "coverage_report": map[string]any{"coverage_format": "cobertura", "path": "cov.xml"}, "sast": "absent.json",
		},
	})))
	s := state(r, "j")
	if diff := cmp.Diff([]string{"coverage_report", "junit"}, s.Reports); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, file := range []string{"junit/r/junit.xml", "coverage_report/cov.xml"} {
		if _, err := os.Stat(filepath.Join(r.Dir, jobsFolder, "j", reportsFolder, file)); err != nil {
			t.Error(err)
		}
	}
	p.wantLog(r, "j", "[slipway] WARNING: absent.json: no matching files")
}

func TestDotenv(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "K%d=%d\n", i, i)
		}
		return b.String()
	}
	for _, tt := range []struct {
		name, content string
		want          []pipeline.Variable
		err           string
	}{
		{"values as they are", "A=1\nB=x y=z\nC=\"quoted\"\nD=\n", []pipeline.Variable{{Key: "A", Value: "1"}, {Key: "B", Value: "x y=z"}, {Key: "C", Value: `"quoted"`}, {Key: "D"}}, ""},
		{"the last of a name wins", "A=1\nA=2", []pipeline.Variable{{Key: "A", Value: "2"}}, ""},
		{"carriage returns", "A=1\r\nB=2\r\n", []pipeline.Variable{{Key: "A", Value: "1"}, {Key: "B", Value: "2"}}, ""},
		{"an empty line", "A=1\n\nB=2\n", nil, "d.env:2: GitLab refuses empty lines"},
		{"a comment", "# A\n", nil, "d.env:1: GitLab refuses comments"},
		{"no equals sign", "A=1\nmore\n", nil, "d.env:2: a line of a dotenv report is KEY=value"},
		{"a wrong name", "A-B=1\n", nil, `d.env:1: "A-B" is not a variable's name`},
		{"too many", many(21), nil, "at most 20 variables, this one has 21"},
		{"too big", "A=" + strings.Repeat("x", 5200), nil, "less than 5120 bytes, this one has 5202"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseDotenv("d.env", []byte(tt.content))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
		})
	}
}

func FuzzDotenv(f *testing.F) {
	f.Add([]byte("A=1\nB=2\n"))
	f.Add([]byte("# comment\n\n=\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		variables, err := parseDotenv("d.env", content)
		if err != nil {
			return
		}
		// What is accepted can be written again and is then the same.
		var b strings.Builder
		for _, v := range variables {
			b.WriteString(v.Key + "=" + v.Value + "\n")
		}
		again, err := parseDotenv("d.env", []byte(b.String()))
		if err != nil && b.Len() <= dotenvMaxBytes {
			t.Fatalf("%q became %q: %v", content, b.String(), err)
		}
		if err == nil {
			if diff := cmp.Diff(variables, again); diff != "" {
				t.Errorf("(-first +again):\n%s", diff)
			}
		}
	})
}

func TestBrokenDotenvFailsTheJob(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	r := p.run(job("j", "echo '# no' >d.env", artifacts(pipeline.Artifacts{Reports: map[string]any{"dotenv": "d.env"}})))
	if s := state(r, "j"); s.Status != Failed || s.Failure != ScriptFailure || s.ExitCode != 1 || s.Error != "the report dotenv is refused: d.env:1: GitLab refuses comments in a dotenv report" {
		t.Errorf("got %+v", s)
	}
}

func TestEnvironmentFromOwnDotenv(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	r := p.run(job("deploy", "echo HOST=review-7.example.com >d.env", artifacts(pipeline.Artifacts{Reports: map[string]any{"dotenv": "d.env"}}), func(j *pipeline.Job) {
		j.Environment = &pipeline.Environment{Name: "review/7", URL: "https://$HOST/", OnStop: "stop"}
	}))
	want := &Deployment{Name: "review/7", URL: "https://review-7.example.com/", Action: "start", OnStop: "stop"}
	if diff := cmp.Diff(want, state(r, "deploy").Environment); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
