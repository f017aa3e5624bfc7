package coordinator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A client is a runner's side of the protocol.
type client struct {
	t   *testing.T
	url string
}

// call sends a request and returns the answer with its body read.
func (c client) call(method, path, token, contentType string, header map[string]string, body io.Reader) (*reply, []byte) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+"/api/v4/"+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("JOB-TOKEN", token)
	request.Header.Set("Content-Type", contentType)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return &reply{answer.StatusCode, answer.Header, method + " " + path}, content
}

// A reply is a response whose body has been read.
type reply struct {
	status  int
	Header  http.Header
	request string
}

func (c client) json(method, path, token string, body any) (*reply, []byte) {
	c.t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.call(method, path, token, "application/json", nil, bytes.NewReader(content))
}

func (c client) wantStatus(answer *reply, status int) {
	c.t.Helper()
	if answer.status != status {
		c.t.Errorf("%s: %d, want %d", answer.request, answer.status, status)
	}
}

// take asks for a job.
func (c client) take(runner string) Payload {
	c.t.Helper()
	answer, content := c.json(http.MethodPost, "jobs/request", "", map[string]any{"token": runner})
	c.wantStatus(answer, http.StatusCreated)
	var p Payload
	if err := json.Unmarshal(content, &p); err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (c client) trace(p Payload, contentRange, text string) *reply {
	c.t.Helper()
	answer, _ := c.call(http.MethodPatch, "jobs/7/trace?debug_trace=false", p.Token, "text/plain", map[string]string{"Content-Range": contentRange}, strings.NewReader(text))
	return answer
}

func (c client) upload(p Payload, query, name, content string) *reply {
	c.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		c.t.Fatal(err)
	}
	_, _ = io.WriteString(part, content)
	form.Close()
	answer, _ := c.call(http.MethodPost, "jobs/7/artifacts?"+query, p.Token, form.FormDataContentType(), nil, &body)
	return answer
}

type ended struct {
	result Result
	err    error
}

// start submits a job with the number 7 and returns the channel on which its end arrives.
func start(ctx context.Context, c *Coordinator, job Job) chan ended {
	job.Runner, job.Payload.ID = "r", 7
	if job.Trace == nil {
		job.Trace = io.Discard
	}
	done := make(chan ended, 1)
	go func() {
		result, err := c.Execute(ctx, job)
		done <- ended{result, err}
	}()
	return done
}

func newCoordinator(t *testing.T) (*Coordinator, client) {
	t.Helper()
	repository := filepath.Join(t.TempDir(), "sources.git")
	if out, err := exec.Command("git", "init", "--quiet", "--bare", repository).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c, err := New(Config{Repository: repository, GitEnv: os.Environ(), ProjectPath: "acme/app"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	c.AddRunner("r")
	return c, client{t, c.URL()}
}

func TestExecute(t *testing.T) {
	t.Parallel()
	c, runner := newCoordinator(t)
	var log bytes.Buffer
	done := start(t.Context(), c, Job{
		Trace: &log, Uploads: t.TempDir(), Payload: Payload{Dependencies: []Dependency{{ID: 3, Token: "dependency"}}},
		Dependencies: map[int]func(io.Writer) error{3: func(w io.Writer) error { _, err := io.WriteString(w, "archive"); return err }},
		Accept: func(u Upload) error {
			if u.Type == "dotenv" {
				return errors.New("no dotenv today")
			}
			return nil
		},
	})
	p := runner.take("r")

	// A trace comes in parts; one that begins elsewhere is refused with the range that is known.
	answer := runner.trace(p, "0-4", "hello")
	runner.wantStatus(answer, http.StatusAccepted)
	if answer.Header.Get("Job-Status") != "running" || answer.Header.Get("Range") != "0-5" {
		t.Errorf("headers of a trace: %v", answer.Header)
	}
	answer = runner.trace(p, "9-12", "lost")
	runner.wantStatus(answer, http.StatusRequestedRangeNotSatisfiable)
	if answer.Header.Get("Range") != "0-5" {
		t.Errorf("Range of a refused part: %q", answer.Header.Get("Range"))
	}
	runner.wantStatus(runner.trace(p, "5-6", " w"), http.StatusAccepted)

	// Artifacts go both ways, with the token of their own job each.
	runner.wantStatus(runner.upload(p, "artifact_type=archive&artifact_format=zip", "artifacts.zip", "PK"), http.StatusCreated)
	runner.wantStatus(runner.upload(p, "artifact_type=dotenv&artifact_format=gzip", ".env.gz", "A=1"), http.StatusBadRequest)
	answer, content := runner.call(http.MethodGet, "jobs/3/artifacts?", "dependency", "", nil, nil)
	runner.wantStatus(answer, http.StatusOK)
	if string(content) != "archive" {
		t.Errorf("archive of the dependency: %q", content)
	}
	answer, _ = runner.call(http.MethodGet, "jobs/3/artifacts?", p.Token, "", nil, nil)
	runner.wantStatus(answer, http.StatusNotFound)

	// An end with a trace that is longer than what has arrived makes the runner send it again.
	end := map[string]any{"state": "failed", "failure_reason": "script_failure", "exit_code": 4, "output": map[string]int{"bytesize": 11}}
	answer, _ = runner.json(http.MethodPut, "jobs/7", p.Token, map[string]any{"state": "running"})
	runner.wantStatus(answer, http.StatusOK)
	answer, _ = runner.json(http.MethodPut, "jobs/7", p.Token, end)
	runner.wantStatus(answer, http.StatusPreconditionFailed)
	runner.wantStatus(runner.trace(p, "7-10", "orld"), http.StatusAccepted)
	answer, _ = runner.json(http.MethodPut, "jobs/7", p.Token, end)
	runner.wantStatus(answer, http.StatusOK)

	got := <-done
	if got.err != nil || got.result.State != "failed" || got.result.FailureReason != "script_failure" || got.result.ExitCode != 4 {
		t.Errorf("result: %+v, %v", got.result, got.err)
	}
	if log.String() != "hello world" {
		t.Errorf("trace: %q", log.String())
	}
	if len(got.result.Uploads) != 1 || got.result.Uploads[0].Name != "artifacts.zip" {
		t.Errorf("uploads: %+v", got.result.Uploads)
	}
	answer, _ = runner.json(http.MethodPut, "jobs/7", p.Token, end)
	runner.wantStatus(answer, http.StatusForbidden)
}

func TestWrongTokens(t *testing.T) {
	t.Parallel()
	c, runner := newCoordinator(t)
	answer, _ := runner.json(http.MethodPost, "jobs/request", "", map[string]any{"token": "somebody"})
	runner.wantStatus(answer, http.StatusForbidden)
	ctx, cancel := context.WithCancel(t.Context())
	done := start(ctx, c, Job{})
	p := runner.take("r")
	p.Token = "guess"
	runner.wantStatus(runner.trace(p, "0-0", "x"), http.StatusForbidden)
	answer, _ = runner.json(http.MethodPut, "jobs/7", "", map[string]any{"state": "success"})
	runner.wantStatus(answer, http.StatusForbidden)
	cancel()
	if got := <-done; got.result.State != "canceled" {
		t.Errorf("result: %+v", got.result)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	c, runner := newCoordinator(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := start(ctx, c, Job{Grace: time.Minute})
	p := runner.take("r")
	cancel()
	// The runner learns it from the next answer, and says when after_script has run.
	for {
		answer, _ := runner.json(http.MethodPut, "jobs/7", p.Token, map[string]any{"state": "running"})
		if answer.Header.Get("Job-Status") == "canceling" {
			break
		}
	}
	answer, _ := runner.json(http.MethodPut, "jobs/7", p.Token, map[string]any{"state": "failed", "failure_reason": "job_canceled"})
	runner.wantStatus(answer, http.StatusOK)
	if got := <-done; got.err != nil || got.result.State != "canceled" {
		t.Errorf("result: %+v, %v", got.result, got.err)
	}
}

func TestCloseEndsJobs(t *testing.T) {
	t.Parallel()
	c, runner := newCoordinator(t)
	done := start(t.Context(), c, Job{})
	runner.take("r")
	_ = c.Close()
	if got := <-done; !errors.Is(got.err, http.ErrServerClosed) {
		t.Errorf("error: %v", got.err)
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	c, runner := newCoordinator(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := start(ctx, c, Job{})
	p := runner.take("r")
	if p.GitInfo.RepoURL != c.URL()+"/acme/app.git" {
		t.Errorf("repo_url: %s", p.GitInfo.RepoURL)
	}
	git := func(args ...string) (string, error) {
		command := exec.Command("git", args...)
		command.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null", "no_proxy=127.0.0.1")
		out, err := command.CombinedOutput()
		return string(out), err
	}
	withToken := strings.Replace(p.GitInfo.RepoURL, "://", "://gitlab-ci-token:"+p.Token+"@", 1)
	if out, err := git("ls-remote", withToken); err != nil {
		t.Errorf("ls-remote with the token of the job: %v: %s", err, out)
	}
	if out, err := git("ls-remote", p.GitInfo.RepoURL); err == nil {
		t.Errorf("ls-remote without a token works: %s", out)
	}
	work := t.TempDir()
	for _, args := range [][]string{
		{"init", "--quiet", work}, {"-C", work, "-c", "user.name=T", "-c", "user.email=t@example.com", "commit", "--quiet", "--allow-empty", "-m", "x"},
	} {
		if out, err := git(args...); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	if out, err := git("-C", work, "push", withToken, "HEAD:refs/heads/x"); err == nil {
		t.Errorf("a push works: %s", out)
	}
	cancel()
	<-done
}
