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
)

// Where a server comes from, and whether a test may do without one.
const (
	urlVariable     = "ORDERS_TEST_POSTGRES_URL"
	requireVariable = "SLIPWAY_REQUIRE_POSTGRES"
	binaries        = "/usr/lib/postgresql/*/bin/postgres"
	startTimeout    = 30 * time.Second
)

// server is the one of this test process.
var server struct {
	once sync.Once
	url  string
	err  error
	stop func()
}

// Main runs a package's tests and then stops the server, if one was started: func TestMain(m *testing.M) { pgtest.Main(m) }.
func Main(m interface{ Run() int }) {
	code := m.Run()
	if server.stop != nil {
		server.stop()
	}
	os.Exit(code)
}

// Database returns the URL of a new, empty database; it is dropped when the test ends. Without a server the test is
// skipped, or fails where SLIPWAY_REQUIRE_POSTGRES=1 says that there must be one.
func Database(t testing.TB) string {
	t.Helper()
	server.once.Do(func() {
		if server.url = os.Getenv(urlVariable); server.url == "" {
			server.url, server.stop, server.err = start()
		}
	})
	if server.err != nil {
		message := fmt.Sprintf("no PostgreSQL (set %s, or install the package postgresql): %v", urlVariable, server.err)
		if os.Getenv(requireVariable) == "1" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	name := fmt.Sprintf("orders_test_%d_%d", os.Getpid(), time.Now().UnixNano())
	execute(t, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server.url)
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
	conn, err := pgx.Connect(ctx, server.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // the test is over
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

// start starts a server that listens on a socket in a temporary folder only.
func start() (address string, stop func(), err error) {
	found, err := filepath.Glob(binaries)
	if err != nil || len(found) == 0 {
		return "", nil, fmt.Errorf("there is nothing at %s", binaries)
	}
	bin := filepath.Dir(found[len(found)-1])
	// Not in TMPDIR: the server's user may be unable to enter it, and the path of a socket has room for 107 bytes only.
	dir, err := os.MkdirTemp("/tmp", "pgtest")
	if err != nil {
		return "", nil, err
	}
	credential, err := unprivileged(dir)
	if err != nil {
		return "", nil, err
	}
	command := func(name string, args ...string) *exec.Cmd {
		// #nosec G204 -- our own arguments
		c := exec.Command(filepath.Join(bin, name), args...) //nolint:noctx // what outlives a call ends with the test
		c.Dir, c.Env = dir, []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
		// The server must not outlive a test that is killed.
		c.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGQUIT}
		return c
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	logPath := filepath.Join(dir, "log")
	log, err := os.Create(logPath) // #nosec G304 -- in our own folder
	if err != nil {
		return "", nil, err
	}
	defer log.Close() //nolint:errcheck // the server has its own descriptor
	postgres := command("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=32MB")
	postgres.Stderr = log
	if err := postgres.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = postgres.Process.Signal(syscall.SIGQUIT) // at once: the data is thrown away
		_ = postgres.Wait()
		_ = os.RemoveAll(dir)
	}
	address = "postgres://postgres@/postgres?host=" + url.QueryEscape(dir)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, address)
		if err == nil {
			return address, stop, conn.Close(ctx)
		}
		if ctx.Err() != nil {
			said, _ := os.ReadFile(logPath) // #nosec G304 -- as above
			stop()
			return "", nil, fmt.Errorf("postgres does not answer: %w: %s", err, said)
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
