// Package postgres runs the distribution's PostgreSQL as the database server outside of the cluster: one database and
// one role per tenant.
package postgres

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
)

// Part is the name of its pid file and log.
const Part = "postgres"

// A Server is one installation.
type Server struct {
	// Bin is the folder of initdb, postgres and psql.
	Bin string
	// Dir contains the data folder; it belongs to the user that runs the server.
	Dir  string
	Port int
	// Secrets is a folder that only the caller can read: the superuser's and the tenants' passwords.
	Secrets string
	user    *syscall.Credential
}

// FindBin returns the newest installed version's folder, or "".
func FindBin() string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(d, "initdb")); err == nil {
			return d
		}
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p)
	}
	return ""
}

func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

// New returns the server, with the programs of the version that created its data folder.
func New(dir, secrets string, port int) (*Server, error) {
	s := &Server{Bin: FindBin(), Dir: dir, Port: port, Secrets: secrets}
	if v, err := os.ReadFile(filepath.Join(s.data(), "PG_VERSION")); err == nil {
		bin := filepath.Join("/usr/lib/postgresql", strings.TrimSpace(string(v)), "bin")
		if _, err := os.Stat(filepath.Join(bin, "postgres")); err == nil {
			s.Bin = bin
		} else if version(s.Bin) != 0 && strconv.Itoa(version(s.Bin)) != strings.TrimSpace(string(v)) {
			return nil, fmt.Errorf("the databases in %s are of PostgreSQL %s and only version %d is installed: install "+
				"postgresql-%[2]s, or `platform down --purge` to start with empty ones", s.data(), strings.TrimSpace(string(v)), version(s.Bin))
		}
	}
	if s.Bin == "" {
		return nil, errors.New("PostgreSQL's server is not installed; `platform deps` installs it")
	}
	if os.Getuid() != 0 {
		return s, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, errors.New("PostgreSQL does not run as root and there is no user postgres; `useradd --system postgres` makes it")
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32) // os/user gives numbers on Unix
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	s.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// Start creates the data folder if it does not exist, starts the server and waits until it responds.
func (s *Server) Start(ctx context.Context, table daemon.Table) (started bool, err error) {
	if err := s.prepare(ctx); err != nil {
		return false, err
	}
	if !table.Running(Part) {
		if err := s.forgetStale(); err != nil {
			return false, err
		}
	}
	return table.Up(ctx, daemon.Spec{
		Name: Part,
		Path: filepath.Join(s.Bin, "postgres"),
		Args: []string{"-D", s.data(),
			"-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(s.Port),
			// Without a Unix socket: its path could be too long, and every connection needs a password.
			"-c", "unix_socket_directories=", "-c", "log_min_messages=warning"},
		Env:    []string{"LC_ALL=C.UTF-8"},
		Dir:    s.Dir,
		User:   s.user,
		Inputs: []string{filepath.Join(s.data(), "pg_hba.conf")},
		Stop:   syscall.SIGINT, // "fast": ends sessions, then writes a checkpoint
		Grace:  20 * time.Second,
	}, 30*time.Second, s.Ping)
}

// Ping runs a query.
func (s *Server) Ping(ctx context.Context) error {
	_, err := s.query(ctx, "SELECT 1")
	return err
}

func (s *Server) prepare(ctx context.Context) error {
	if err := os.MkdirAll(s.Dir, 0o711); err != nil {
		return err
	}
	if s.user != nil {
		if err := s.reachable(); err != nil {
			return err
		}
		if err := os.Chown(s.Dir, int(s.user.Uid), int(s.user.Gid)); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(s.data(), "PG_VERSION")); err == nil {
		return nil
	}
	// Into another folder that is renamed afterwards, so that an interrupted initdb leaves no PG_VERSION.
	fresh := s.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	password, err := s.Password("postgres")
	if err != nil {
		return err
	}
	passwordFile := filepath.Join(s.Dir, "password") // not standard input, which another user cannot open
	if err := s.write(passwordFile, password+"\n"); err != nil {
		return err
	}
	defer os.Remove(passwordFile)
	cmd := exec.CommandContext(ctx, filepath.Join(s.Bin, "initdb"), "-D", fresh, "--username=postgres",
		"--pwfile="+passwordFile, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums")
	cmd.Dir = s.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.user, Setsid: true}
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, bytes.TrimSpace(out))
	}
	// A tenant's role may only use the database of its name.
	rules := "# written by platform\nhost postgres postgres 127.0.0.1/32 scram-sha-256\nhost sameuser all 127.0.0.1/32 scram-sha-256\n"
	if err := s.write(filepath.Join(fresh, "pg_hba.conf"), rules); err != nil {
		return err
	}
	return os.Rename(fresh, s.data())
}

// reachable returns an error unless the server's user can reach its folder.
func (s *Server) reachable() error {
	for dir := filepath.Dir(s.Dir); dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("PostgreSQL does not run as root, and its user postgres may not enter %s: set SLIPWAY_STATE to a folder "+
				"that everyone may enter, or chmod o+x %[1]s", dir)
		}
	}
	return nil
}

func (s *Server) write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if s.user == nil {
		return nil
	}
	return os.Chown(path, int(s.user.Uid), int(s.user.Gid))
}

// forgetStale removes the lock file of a server that was killed. PostgreSQL does so itself, unless the pid in the file
// belongs to another process, for example after a reboot; then only the owner of the data folder shows it.
func (s *Server) forgetStale() error {
	others := daemon.Find(func(pid int) bool {
		dir, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
		return err == nil && dir == s.data()
	})
	for _, p := range others { // sessions of the killed server, which end soon
		if err := p.Stop(syscall.SIGQUIT, 5*time.Second); err != nil {
			return err
		}
	}
	if err := os.Remove(filepath.Join(s.data(), "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Password returns the password of a role, which the first call creates.
func (s *Server) Password(role string) (string, error) {
	path := filepath.Join(s.Secrets, "postgres-"+role)
	if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err := os.MkdirAll(s.Secrets, 0o700); err != nil {
		return "", err
	}
	password := rand.Text()
	return password, os.WriteFile(path, []byte(password+"\n"), 0o600)
}

// EnsureDatabase creates a role with the password of [Server.Password], and a database of the same name that it
// owns and others may not use. The name has letters, digits and underscores only.
func (s *Server) EnsureDatabase(ctx context.Context, name string) error {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || name == "" || name == "postgres" {
		return fmt.Errorf("database name %q: want a to z, 0 to 9 and _", name)
	}
	password, err := s.Password(name)
	if err != nil {
		return err
	}
	found, err := s.query(ctx, "SELECT count(*) FROM pg_roles WHERE rolname = '"+name+"'")
	if err != nil {
		return err
	}
	role := "CREATE"
	if found == "1" {
		role = "ALTER"
	}
	if _, err := s.query(ctx, fmt.Sprintf("%s ROLE %s LOGIN PASSWORD '%s'", role, name, password)); err != nil {
		return err
	}
	found, err = s.query(ctx, "SELECT count(*) FROM pg_database WHERE datname = '"+name+"'")
	if err != nil || found == "1" {
		return err
	}
	if _, err := s.query(ctx, fmt.Sprintf("CREATE DATABASE %s OWNER %[1]s", name)); err != nil {
		return err
	}
	_, err = s.query(ctx, fmt.Sprintf("REVOKE ALL ON DATABASE %s FROM PUBLIC", name))
	return err
}

// query runs one statement as the superuser, with the distribution's psql.
func (s *Server) query(ctx context.Context, sql string) (string, error) {
	password, err := s.Password("postgres")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.Bin, "psql"), "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-U", "postgres",
		"-d", "postgres", "-X", "-q", "-t", "-A", "-w", "-v", "ON_ERROR_STOP=1", "-f", "-")
	cmd.Stdin = strings.NewReader(sql + ";\n") // not an argument, since it can contain a password
	cmd.Env = []string{"PATH=/usr/bin:/bin", "PGPASSWORD=" + password, "PGCONNECT_TIMEOUT=5", "LC_ALL=C.UTF-8"}
	var errText bytes.Buffer
	cmd.Stderr = &errText
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, bytes.TrimSpace(errText.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}
