// Package git runs git. Every git process of this module is started here, so that all of them see the same repository, ask
// nobody for a password, and fail with the same messages.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// ErrNotInstalled is the error of every command where there is no git.
var ErrNotInstalled = errors.New("git is not installed: install it (Debian, Ubuntu: apt-get install git)")

// ErrNotARepository is the error of commands in a folder that no git repository holds.
var ErrNotARepository = errors.New("not a git repository")

// A Command runs git in a folder. The zero value runs it in the working directory.
type Command struct {
	// Dir is the folder, the working directory if empty.
	Dir string
	// Env is the environment, that of this process if nil. Variables that point git at another repository than the one that
	// holds Dir (GIT_DIR and the like, which git sets for hooks) are removed from it.
	Env []string
	// Set are variables that are set after the removal, as in "GIT_INDEX_FILE=/tmp/index".
	Set []string
	// Stdin is the standard input, empty if nil.
	Stdin io.Reader
}

// LazyFetch, among the variables in Set, lets a partial clone get what it lacks while it serves a fetch; git's default is not to.
const LazyFetch = "GIT_NO_LAZY_FETCH=0"

// In returns the command for a folder.
func In(dir string) Command { return Command{Dir: dir} }

// An Error is a git command that failed.
type Error struct {
	// Subcommand is git's own, such as "fetch".
	Subcommand string
	// Stderr is what git wrote to standard error, trimmed.
	Stderr string
	// Err is [ErrNotARepository], or what [exec.Cmd.Run] returned.
	Err error
}

func (e *Error) Error() string {
	if e.Stderr == "" {
		return fmt.Sprintf("git %s: %v", e.Subcommand, e.Err)
	}
	text := e.Stderr
	if strings.Contains(text, "dubious ownership") {
		text += "\nthe folder belongs to another user; `git config --global --add safe.directory PATH` trusts it"
	}
	return fmt.Sprintf("git %s: %s", e.Subcommand, text)
}

func (e *Error) Unwrap() error { return e.Err }

// Output runs git and returns what it printed.
func (c Command) Output(ctx context.Context, args ...string) ([]byte, error) {
	cmd := c.Process(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, failure(args, stderr.String(), err)
	}
	return stdout.Bytes(), nil
}

// Text runs git and returns what it printed, without the last line break.
func (c Command) Text(ctx context.Context, args ...string) (string, error) {
	out, err := c.Output(ctx, args...)
	return strings.TrimSuffix(string(out), "\n"), err
}

// List runs a git command with -z and returns the items that it printed.
func (c Command) List(ctx context.Context, args ...string) ([]string, error) {
	out, err := c.Output(ctx, args...)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"), nil
}

// programs are the paths of git, by the PATH in which it was found.
var programs sync.Map

// program returns the path of git, or its name if there is none: starting that reports why. It is looked up once, since Go's test cache
// remembers every file that a lookup examines, in every folder of PATH, and examines all of them again before it uses a result.
func program() string {
	path := os.Getenv("PATH")
	if found, ok := programs.Load(path); ok {
		return found.(string)
	}
	found, err := exec.LookPath("git")
	if err != nil {
		return "git"
	}
	programs.Store(path, found)
	return found
}

// Process returns the process of a git command that is not started yet, for callers that talk to it.
func (c Command) Process(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program(), args...)
	cmd.Dir, cmd.Stdin = c.Dir, c.Stdin
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	env = slices.DeleteFunc(slices.Clone(env), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(repositoryVariables, name)
	})
	// Messages are compared, so they are in English; and a status that is only read takes no lock.
	cmd.Env = append(append(env, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0"), c.Set...)
	return cmd
}

// repositoryVariables point git at another repository, or at other parts of it, than those of the folder it runs in. They are
// what `git rev-parse --local-env-vars` lists, except for those that hold settings.
var repositoryVariables = []string{
	"GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
	"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE",
	"GIT_REPLACE_REF_BASE", "GIT_INTERNAL_SUPER_PREFIX",
}

func failure(args []string, stderr string, err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return ErrNotInstalled
	}
	e := &Error{Subcommand: subcommand(args), Stderr: strings.TrimSpace(stderr), Err: err}
	if strings.Contains(stderr, "not a git repository") {
		e.Err = ErrNotARepository
	}
	return e
}

// subcommand is the first argument that is not an option of git itself.
func subcommand(args []string) string {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-c" || args[i] == "-C":
			i++
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		}
	}
	return strings.Join(args, " ")
}
