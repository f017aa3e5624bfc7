// Package pgtest gives tests a real PostgreSQL: the server that ORDERS_TEST_POSTGRES_URL names, or else the
// distribution's binaries, started in a temporary folder.
package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"gitlab.com/slipway-ci/slipway/service/testlog"
)

// Where a server comes from, and whether a test may do without one.
const (
	urlVariable     = "ORDERS_TEST_POSTGRES_URL"
	requireVariable = "SLIPWAY_REQUIRE_POSTGRES"
	binaries        = "/usr/lib/postgresql/*/bin/postgres"
	startTimeout    = 2 * time.Minute
)

// shared is the server of this test process.
var shared struct {
	once   sync.Once
	url    string
	err    error
	server *Server // nil when it is not ours
}

// Main runs a package's tests and then stops the server, if one was started: func TestMain(m *testing.M) { pgtest.Main(m) }.
func Main(m interface{ Run() int }) {
	code := m.Run()
	if shared.server != nil {
		shared.server.remove()
	}
	os.Exit(code)
}

// MainWithoutLeaks is [Main] for packages whose tests must leave no goroutine behind.
func MainWithoutLeaks(m interface{ Run() int }) { Main(leakChecked{m}) }

type leakChecked struct{ m interface{ Run() int } }

// Run implements the interface of [Main].
func (l leakChecked) Run() int {
	code := l.m.Run()
	err := goleak.Find()
	for end := time.Now().Add(testlog.Patience); err != nil && time.Now().Before(end); { // Find waits a second for goroutines that are ending
		err = goleak.Find()
	}
	if err != nil {
		fmt.Println(err)
		return max(code, 1)
	}
	return code
}

// Database returns the URL of a new, empty database; it is dropped when the test ends. Without a server the test is
// skipped, or fails where SLIPWAY_REQUIRE_POSTGRES=1 says that there must be one.
func Database(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() {
		if shared.url = os.Getenv(urlVariable); shared.url == "" {
			if shared.server, shared.err = newServer(); shared.err == nil {
				shared.url = shared.server.URL
			}
		}
	})
	if shared.err != nil {
		unavailable(t, shared.err)
	}
	name := fmt.Sprintf("orders_test_%d_%d", os.Getpid(), time.Now().UnixNano())
	execute(t, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(shared.url)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func execute(t testing.TB, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, shared.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // the test is over
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

// unavailable skips the test, or fails it where there must be a server.
func unavailable(t testing.TB, err error) {
	t.Helper()
	message := fmt.Sprintf("no PostgreSQL (set %s, or install the package postgresql): %v", urlVariable, err)
	if os.Getenv(requireVariable) == "1" {
		t.Fatal(message)
	}
	t.Skip(message)
}

// Server is a PostgreSQL server in a temporary folder, which it listens in on a socket only.
type Server struct {
	URL string // of the database postgres

	bin, dir   string
	credential *syscall.Credential
	process    *exec.Cmd // nil while it is stopped
}

// New returns a server of the test's own, which it may stop; it is removed when the test ends. Without PostgreSQL's
// binaries the test is skipped, or fails where SLIPWAY_REQUIRE_POSTGRES=1 says that they must be there.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := newServer()
	if err != nil {
		unavailable(t, err)
	}
	t.Cleanup(s.remove)
	return s
}

func newServer() (*Server, error) {
	found, err := filepath.Glob(binaries)
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("there is nothing at %s", binaries)
	}
	// Not in TMPDIR: the server's user may be unable to enter it, and the path of a socket has room for 107 bytes only.
	dir, err := os.MkdirTemp("/tmp", "pgtest")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "postgres://postgres@/postgres?host=" + url.QueryEscape(dir), bin: filepath.Dir(found[len(found)-1]), dir: dir}
	if err := s.init(); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *Server) init() (err error) {
	if s.credential, err = unprivileged(s.dir); err != nil {
		return err
	}
	if out, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	return s.start()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	// #nosec G204 -- our own arguments
	c := exec.Command(filepath.Join(s.bin, name), args...) //nolint:noctx // what outlives a call ends with the test
	c.Dir, c.Env = s.dir, []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	// The server must not outlive a test that is killed.
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential, Pdeathsig: syscall.SIGQUIT}
	return c
}

// Start starts the server after Stop.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server immediately, as if it crashed: clients lose their connections.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(syscall.SIGQUIT)
	_ = s.process.Wait()
	s.process = nil
}

func (s *Server) remove() {
	s.Stop()
	_ = os.RemoveAll(s.dir)
}

func (s *Server) start() error {
	logPath := filepath.Join(s.dir, "log")
	log, err := os.Create(logPath) // #nosec G304 -- in our own folder
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the server has its own descriptor
	s.process = s.command("postgres", "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=32MB")
	s.process.Stderr = log
	if err := s.process.Start(); err != nil {
		s.process = nil
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL)
		if err == nil {
			return conn.Close(ctx)
		}
		if ctx.Err() != nil {
			said, _ := os.ReadFile(logPath) // #nosec G304 -- as above
			s.Stop()
			return fmt.Errorf("postgres does not answer: %w: %s", err, said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// unprivileged gives the folder to the user postgres when this process is root, as whom PostgreSQL refuses to run.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
