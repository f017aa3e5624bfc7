package runner

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/coordinator"
)

// gitlabRunners are the runners to test with: a stand-in, and GitLab's own where it is installed (GITLAB_RUNNER names another path).
func gitlabRunners(t *testing.T) map[string]string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	standIn := filepath.Join(t.TempDir(), "runner")
	writeProgram(t, standIn, "#!/bin/sh\nSLIPWAY_TEST_RUNNER=1 exec '"+self+"' \"$@\"\n")
	runners := map[string]string{"stand-in": standIn}
	path, err := exec.LookPath(cmp.Or(os.Getenv("GITLAB_RUNNER"), "gitlab-runner"))
	switch {
	case err == nil:
		runners["gitlab-runner"] = path
	case os.Getenv("SLIPWAY_REQUIRE_RUNNER") != "":
		t.Fatalf("SLIPWAY_REQUIRE_RUNNER: %v", err)
	default:
		t.Logf("not tried with GitLab's own runner: %v", err)
	}
	return runners
}

func TestGitLabRunner(t *testing.T) {
	t.Parallel()
	for name, path := range gitlabRunners(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			p.options.GitLabRunner, p.options.Executor = path, "shell"
			p.write("uncommitted", "from the work tree\n")
			build := job("build", "cat uncommitted; echo \"greeting: $GREETING\"; mkdir out; echo made > out/file; chmod 750 out/file; ln -s file out/link; echo VERSION=7 > build.env",
				variables("NAME=world", "GREETING=hello $NAME"),
				artifacts(pipeline.Artifacts{Paths: []string{"out"}, Reports: map[string]any{"dotenv": "build.env"}, When: "on_success"}))
			build.Coverage = `coverage (\d+)%`
			build.AfterScript = []string{"echo after $CI_JOB_STATUS; echo coverage 81%"}
			use := job("use", `echo "version $VERSION: $(cat out/link)"; stat -c %a out/file; exit 3`, stage("use"), allowFailure(3))
			r := p.run(build, use)
			if r.Status != RunSuccess {
				t.Errorf("run: %s\n%s", r.Status, p.logs(r))
			}
			p.wantLog(r, "build", "from the work tree", "greeting: hello world", "after success")
			p.wantLog(r, "use", "version 7: made", "750")
			if got := state(r, "build"); got.Coverage != "81" || len(got.Reports) != 1 {
				t.Errorf("build: coverage %q, reports %v", got.Coverage, got.Reports)
			}
			if got := state(r, "use"); got.Status != Failed || got.ExitCode != 3 || !got.Allowed {
				t.Errorf("use: %+v", got)
			}
			if target, err := os.Readlink(filepath.Join(r.Dir, jobsFolder, state(r, "build").Slug, artifactsFolder, "out", "link")); target != "file" {
				t.Errorf("the link among the artifacts: %q, %v", target, err)
			}
		})
	}
}

func TestGitLabRunnerRefusesDotenv(t *testing.T) {
	t.Parallel()
	for name, path := range gitlabRunners(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			p.options.GitLabRunner, p.options.Executor = path, "shell"
			r := p.run(job("j", "echo 'no variable' > x.env", artifacts(pipeline.Artifacts{Reports: map[string]any{"dotenv": "x.env"}})))
			if got := state(r, "j"); got.Status != Failed || len(got.Dotenv) > 0 {
				t.Errorf("j: %+v\n%s", got, p.logs(r))
			}
		})
	}
}

func TestGitLabRunnerThatEnds(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.GitLabRunner = "/bin/false"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := Run(ctx, planOf(job("j", "true")), p.options)
	if err != nil {
		t.Fatal(err)
	}
	if got := state(r, "j"); got.Status != Failed || got.Failure != SystemFailure || !strings.Contains(got.Error, runnerLog) {
		t.Errorf("j: %+v", got)
	}
}

// standInRunner does what GitLab's runner does for a simple job, so that the coordinator is tested where that is not installed: it gets
// jobs and sources, runs the scripts, and sends logs, artifacts and results.
func standInRunner(args []string) int {
	config, err := os.ReadFile(args[2])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	section := regexp.MustCompile(`(?s)url = "(.*?)".*?token = "(.*?)"`).FindSubmatch(config)
	s := standIn{url: string(section[1]), dir: args[4]}
	for {
		var p coordinator.Payload
		status, err := s.send(http.MethodPost, "jobs/request", "", "application/json", strings.NewReader(`{"token": "`+string(section[2])+`"}`), &p)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		if status == http.StatusCreated {
			if err := s.execute(p); err != nil {
				fmt.Println(err)
				return 1
			}
		}
	}
}

type standIn struct{ url, dir string }

// send sends a request and decodes the answer, if there is something to put it into.
func (s standIn) send(method, path, token, contentType string, body io.Reader, into any) (int, error) {
	request, err := http.NewRequestWithContext(context.Background(), method, s.url+"/api/v4/"+path, body)
	if err != nil {
		return 0, err
	}
	request.Header.Set("JOB-TOKEN", token)
	request.Header.Set("Content-Type", contentType)
	if text, isTrace := body.(*bytes.Reader); isTrace {
		request.Header.Set("Content-Range", fmt.Sprintf("0-%d", text.Len()-1))
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if into != nil && answer.StatusCode < 300 && answer.StatusCode != http.StatusNoContent {
		if raw, isRaw := into.(*[]byte); isRaw {
			*raw, err = io.ReadAll(answer.Body)
		} else {
			err = json.NewDecoder(answer.Body).Decode(into)
		}
	}
	return answer.StatusCode, err
}

func (s standIn) execute(p coordinator.Payload) error {
	work := filepath.Join(s.dir, fmt.Sprint(p.ID))
	url := strings.Replace(p.GitInfo.RepoURL, "://", "://gitlab-ci-token:"+p.Token+"@", 1)
	setup := fmt.Sprintf("git init -q %[1]s && cd %[1]s && git fetch -q --depth %[2]d %[3]s %[4]s && git checkout -q %[5]s", work, p.GitInfo.Depth, url, strings.Join(p.GitInfo.Refspecs, " "), p.GitInfo.SHA)
	if out, err := exec.Command("sh", "-c", setup).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	for _, d := range p.Dependencies {
		var archive []byte
		if _, err := s.send(http.MethodGet, fmt.Sprintf("jobs/%d/artifacts", d.ID), d.Token, "", nil, &archive); err != nil {
			return err
		}
		if err := unpack(archive, work); err != nil {
			return err
		}
	}
	values := map[string]string{}
	for _, v := range p.Variables {
		values[v.Key] = v.Value
	}
	environ := os.Environ()
	for name, value := range values {
		environ = append(environ, name+"="+os.Expand(value, func(name string) string { return values[name] }))
	}
	var log bytes.Buffer
	end := map[string]any{"state": "success"}
	for _, step := range p.Steps {
		command := exec.Command("bash", "-ec", strings.Join(step.Script, "\n"))
		command.Dir, command.Env, command.Stdout, command.Stderr = work, append(environ, "CI_JOB_STATUS="+fmt.Sprint(end["state"])), &log, &log
		if err := command.Run(); err != nil && !step.AllowFailure {
			failed, _ := errors.AsType[*exec.ExitError](err)
			end = map[string]any{"state": "failed", "failure_reason": "script_failure", "exit_code": failed.ExitCode()}
		}
	}
	for _, a := range p.Artifacts {
		if end["state"] == "failed" && a.When != "always" {
			continue
		}
		status, err := s.upload(p, a, work)
		if err != nil {
			return err
		}
		if status != http.StatusCreated {
			end = map[string]any{"state": "failed", "failure_reason": "script_failure", "exit_code": 1}
		}
	}
	if _, err := s.send(http.MethodPatch, fmt.Sprintf("jobs/%d/trace", p.ID), p.Token, "text/plain", bytes.NewReader(append(log.Bytes(), '\n')), nil); err != nil {
		return err
	}
	text, err := json.Marshal(end)
	if err != nil {
		return err
	}
	_, err = s.send(http.MethodPut, fmt.Sprintf("jobs/%d", p.ID), p.Token, "application/json", strings.NewReader(string(text)), nil)
	return err
}

// upload sends one of a job's artifacts.
func (s standIn) upload(p coordinator.Payload, a coordinator.Artifact, work string) (int, error) {
	var content bytes.Buffer
	if a.Format == "gzip" {
		packed := gzip.NewWriter(&content)
		packed.Name = filepath.Base(a.Paths[0])
		text, err := os.ReadFile(filepath.Join(work, a.Paths[0]))
		if err != nil {
			return 0, err
		}
		_, _ = packed.Write(text)
		packed.Close()
	} else if err := pack(&content, work, a.Paths[0]); err != nil {
		return 0, err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", a.Name)
	if err != nil {
		return 0, err
	}
	_, _ = part.Write(content.Bytes())
	form.Close()
	return s.send(http.MethodPost, fmt.Sprintf("jobs/%d/artifacts?artifact_type=%s&artifact_format=%s", p.ID, a.Type, a.Format), p.Token, form.FormDataContentType(), &body, nil)
}

// pack writes a folder as a zip archive.
func pack(to io.Writer, work, folder string) error {
	archive := zip.NewWriter(to)
	entries, err := os.ReadDir(filepath.Join(work, folder))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := addToArchive(archive, filepath.Join(work, folder, e.Name()), folder+"/"+e.Name(), 0); err != nil {
			return err
		}
	}
	return archive.Close()
}

// unpack puts the files of a zip archive into a folder.
func unpack(content []byte, work string) error {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(work)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range archive.File {
		if f.Mode().IsDir() {
			continue
		}
		if err := extract(root, f.Name, f); err != nil {
			return err
		}
	}
	return nil
}
