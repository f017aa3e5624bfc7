// Package coordinator lets GitLab's runner execute jobs: it is the part of a GitLab instance that a runner talks to, on loopback.
//
// It serves the runner's API (https://docs.gitlab.com/api/jobs/#runner-api below /api/v4/jobs): requests for jobs, their traces,
// artifacts in both directions, and the sources over Git's smart HTTP protocol.
package coordinator

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// requestPatience is how long the coordinator lets a runner wait for a job before it answers that there is none.
const requestPatience = 20 * time.Second

// A Job is a job for a runner.
type Job struct {
	// Runner is the token of the runner that gets the job.
	Runner  string
	Payload Payload
	// Trace gets the job's log.
	Trace io.Writer
	// Uploads is the folder for the runner's uploads. Accept, if it is set, refuses an upload with an error, which fails the job.
	Uploads string
	Accept  func(Upload) error
	// Dependencies write the archives of the jobs in Payload.Dependencies, by job number.
	Dependencies map[int]func(io.Writer) error
	// Grace is how long the runner may take to end a job that was canceled; it is abandoned immediately when Kill is closed.
	Grace time.Duration
	Kill  <-chan struct{}
}

// A Result is the result of a job, as the runner reports it.
type Result struct {
	// State is "success", "failed" or "canceled".
	State string
	// FailureReason is why the job failed, as GitLab names it.
	FailureReason string
	ExitCode      int
	Uploads       []Upload
}

// An Upload is a file that the runner has uploaded.
type Upload struct {
	Type, Format, Name string
	// Path is where it is, below [Job.Uploads].
	Path string
}

// Config configures a coordinator.
type Config struct {
	// Repository is the bare repository of the sources, GitEnv the environment of the git that serves it.
	Repository string
	GitEnv     []string
	// ProjectPath is the path of the project in the URL of its repository.
	ProjectPath string
}

// A Coordinator assigns jobs to runners.
type Coordinator struct {
	config   Config
	listener net.Listener
	server   *http.Server
	git      http.Handler
	// gone is closed by Close, once.
	gone chan struct{}
	once sync.Once

	mu     sync.Mutex
	queues map[string]chan *job
	jobs   map[int]*job
}

// A job is a submitted job. mu protects the fields below it.
type job struct {
	Job
	done chan struct{}

	mu       sync.Mutex
	written  int64
	state    string
	finished bool
	result   Result
	err      error
}

// New starts a coordinator on a free port of the loopback interface.
func New(config Config) (*Coordinator, error) {
	git, err := newGitHandler(config)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("coordinator for gitlab-runner: %w", err)
	}
	c := &Coordinator{
		config: config, listener: listener, git: git, gone: make(chan struct{}), queues: map[string]chan *job{}, jobs: map[int]*job{},
	}
	c.server = &http.Server{Handler: c.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = c.server.Serve(listener) }()
	return c, nil
}

// URL returns the address of the GitLab instance for runners.
func (c *Coordinator) URL() string { return "http://" + c.listener.Addr().String() }

// Close ends the server, and all jobs with [http.ErrServerClosed].
func (c *Coordinator) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.server.Close()
}

// NewToken returns a token for a runner or a job.
func NewToken() string { return rand.Text() }

// AddRunner lets a runner with a token ask for jobs.
func (c *Coordinator) AddRunner(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queues[token] = make(chan *job)
}

// Execute waits until a runner has executed the job. When the context ends, the runner is asked to cancel it. An error is
// one of the machine, not of the job.
func (c *Coordinator) Execute(ctx context.Context, submitted Job) (Result, error) {
	j := &job{Job: submitted, done: make(chan struct{}), state: "running"}
	if j.Payload.Token == "" {
		j.Payload.Token = NewToken()
	}
	j.Payload.GitInfo.RepoURL = c.repositoryURL()
	c.mu.Lock()
	queue := c.queues[j.Runner]
	c.jobs[j.Payload.ID] = j
	c.mu.Unlock()
	if queue == nil {
		return Result{}, errors.New("coordinator: no runner has the job's token")
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.jobs, j.Payload.ID)
	}()
	select {
	case queue <- j:
	case <-ctx.Done():
		return Result{State: "canceled"}, nil
	case <-c.gone:
		return Result{}, http.ErrServerClosed
	}
	select {
	case <-j.done:
	case <-c.gone:
		return Result{}, http.ErrServerClosed
	case <-ctx.Done():
		j.cancel(c.gone)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.result, j.err
}

// cancel asks the runner to end the job, so that after_script runs, and abandons it after the grace.
func (j *job) cancel(gone chan struct{}) {
	j.setState("canceling")
	select {
	case <-j.done:
	case <-gone:
	case <-j.Kill:
	case <-time.After(j.Grace):
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.finished, j.state, j.result.State = true, "canceled", "canceled"
}

func (j *job) setState(state string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state = state
}

// fail records the first error of the machine.
func (j *job) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = err
	}
}

// finish ends the job with the runner's result. Only the first counts: a runner repeats a request whose response was lost.
func (j *job) finish(state, reason string, exitCode int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.finished {
		return
	}
	j.finished = true
	j.result.State, j.result.FailureReason, j.result.ExitCode = state, reason, exitCode
	close(j.done)
}

func (c *Coordinator) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v4/jobs/request", c.request)
	mux.HandleFunc("PATCH /api/v4/jobs/{id}/trace", c.withJob(trace))
	mux.HandleFunc("PUT /api/v4/jobs/{id}", c.withJob(update))
	mux.HandleFunc("POST /api/v4/jobs/{id}/artifacts", c.withJob(upload))
	mux.HandleFunc("GET /api/v4/jobs/{id}/artifacts", c.download)
	mux.HandleFunc("POST /api/v4/runners/verify", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, map[string]int{"id": 1}) })
	mux.HandleFunc("/", c.repository)
	return mux
}

// request responds to a runner that asks for a job when there is one.
func (c *Coordinator) request(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	queue := c.queues[body.Token]
	c.mu.Unlock()
	if queue == nil {
		http.Error(w, "unknown runner", http.StatusForbidden)
		return
	}
	select {
	case j := <-queue:
		writeJSON(w, http.StatusCreated, j.Payload)
	case <-time.After(requestPatience):
		w.WriteHeader(http.StatusNoContent)
	case <-r.Context().Done():
	case <-c.gone:
		w.WriteHeader(http.StatusNoContent)
	}
}

// withJob finds the job of a request and checks its token.
func (c *Coordinator) withJob(handle func(*job, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		j := c.jobs[id]
		c.mu.Unlock()
		if j == nil || !sameToken(r.Header.Get("JOB-TOKEN"), j.Payload.Token) {
			http.Error(w, "403 Forbidden", http.StatusForbidden)
			return
		}
		handle(j, w, r)
	}
}

func sameToken(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// headers sets the state of the job, and the interval of traces, a second.
func (j *job) headers(w http.ResponseWriter) {
	w.Header().Set("Job-Status", j.state)
	w.Header().Set("X-GitLab-Trace-Update-Interval", "1")
}

// trace appends a part of a log. A part that does not begin at the end of the log is refused with the known range; the
// runner sends the rest again.
func trace(j *job, w http.ResponseWriter, r *http.Request) {
	var first, last int64
	if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "%d-%d", &first, &last); err != nil {
		http.Error(w, "Content-Range: "+err.Error(), http.StatusBadRequest)
		return
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.headers(w)
	w.Header().Set("Range", fmt.Sprintf("0-%d", j.written))
	if first != j.written {
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	if _, err := j.Trace.Write(content); err != nil && j.err == nil {
		j.err = err
	}
	j.written += int64(len(content))
	w.Header().Set("Range", fmt.Sprintf("0-%d", j.written))
	w.WriteHeader(http.StatusAccepted)
}

// update records the state of a job.
func update(j *job, w http.ResponseWriter, r *http.Request) {
	var body struct {
		State         string `json:"state"`
		FailureReason string `json:"failure_reason"`
		ExitCode      int    `json:"exit_code"`
		Output        struct {
			Bytesize int64 `json:"bytesize"`
		} `json:"output"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	j.mu.Lock()
	written := j.written
	j.headers(w)
	j.mu.Unlock()
	switch body.State {
	case "success", "failed":
		if body.Output.Bytesize > written {
			// The runner sends its trace again, as after the same response of GitLab.
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		j.finish(body.State, body.FailureReason, body.ExitCode)
	}
	w.WriteHeader(http.StatusOK)
}

// upload stores an artifact.
func upload(j *job, w http.ResponseWriter, r *http.Request) {
	reader, err := r.MultipartReader()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for {
		part, err := reader.NextPart()
		if err != nil {
			http.Error(w, "no file: "+err.Error(), http.StatusBadRequest)
			return
		}
		if part.FormName() != "file" {
			continue
		}
		query := r.URL.Query()
		u := Upload{Type: query.Get("artifact_type"), Format: query.Get("artifact_format"), Name: part.FileName()}
		body := &errorReader{Reader: part}
		if u.Path, err = keep(j.Uploads, body); err != nil {
			if body.err == nil {
				j.fail(err)
			}
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if j.Accept != nil {
			if err := j.Accept(u); err != nil {
				writeJSON(w, http.StatusBadRequest, map[string]string{"message": err.Error()})
				return
			}
		}
		j.mu.Lock()
		j.result.Uploads = append(j.result.Uploads, u)
		j.headers(w)
		j.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		return
	}
}

// An errorReader keeps the error of reading, to distinguish an upload that the runner aborts from a full disk.
type errorReader struct {
	io.Reader
	err error
}

func (r *errorReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		r.err = err
	}
	return n, err
}

func keep(folder string, content io.Reader) (string, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(folder, "upload-")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, content)
	return file.Name(), errors.Join(err, file.Close())
}

// download sends the archive of a job that another one depends on. The token is that of the dependency.
func (c *Coordinator) download(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	write := c.dependency(id, r.Header.Get("JOB-TOKEN"))
	if write == nil {
		http.Error(w, "404 Not Found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	if err := write(w); err != nil {
		// The status is sent; only a broken connection tells the runner that the archive is incomplete.
		panic(http.ErrAbortHandler)
	}
}

// dependency returns the archive of a job that a running one depends on.
func (c *Coordinator) dependency(id int, token string) func(io.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range c.jobs {
		for _, d := range j.Payload.Dependencies {
			if d.ID == id && sameToken(token, d.Token) {
				return j.Dependencies[id]
			}
		}
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
