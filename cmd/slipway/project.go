package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/git"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/gitevent"
	"gitlab.com/slipway-ci/slipway/pipeline/gittree"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// What a project is called where neither flags nor the repository say it.
const (
	defaultPath   = "acme/app"
	defaultHost   = "gitlab.example.com"
	defaultBranch = "main"
)

// errUnknownProject is the error of commands that ask the project's GitLab.
var errUnknownProject = errors.New("the project is unknown, because no remote of the clone is on GitLab; set --host and --project-path")

// projectFlags say which project is meant, and what GitLab would know of it. What no flag says is read from the repository.
type projectFlags struct {
	dir, config           string
	path, host, defBranch string
	variables             string
	committed             bool
	includes              includeFlags
	cmd                   *cobra.Command

	repository *gitevent.Repository // nil if the folder is in none
	identified bool
	knownPath  bool // path and host are those of flags or of the repository, and not the defaults
	knownHost  bool
	silent     bool // the identity is not reported
	protocol   string
	registry   string
	sshPort    string
	projects   string // the base URL of other projects of the instance, for git
	head       *gittree.Tree
}

func (f *projectFlags) bind(cmd *cobra.Command) {
	f.cmd = cmd
	flags := cmd.Flags()
	flags.StringVarP(&f.dir, "directory", "C", ".", "`FOLDER` of the project, or one below it")
	flags.StringVar(&f.config, "config", ".gitlab-ci.yml", "configuration `FILE`, relative to the project")
	flags.StringVar(&f.path, "project-path", "", "the project's `PATH` on GitLab, CI_PROJECT_PATH (default: that of origin, or "+defaultPath+")")
	flags.StringVar(&f.host, "host", "", "the GitLab instance's `HOST`, with a port if it has one (default: that of origin, or "+defaultHost+")")
	flags.StringVar(&f.defBranch, "default-branch", "", "the project's default `BRANCH` (default: that of origin, or "+defaultBranch+")")
	flags.StringVar(&f.variables, "variables", "", "`FILE` with the project's CI/CD variables: YAML, JSON of GitLab's API, or dotenv")
	flags.BoolVar(&f.committed, "committed", false, "ignore uncommitted and untracked files")
	f.includes.bind(cmd, f)
	_ = cmd.MarkFlagDirname("directory")
	_ = cmd.MarkFlagFilename("variables", "yml", "yaml", "json", "env")
	inner := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		defer f.close()
		return inner(cmd, args)
	}
}

func (f *projectFlags) close() {
	if f.head != nil {
		_ = f.head.Close()
	}
}

// open loads the project in the folder that the flags name.
func (f *projectFlags) open(ctx context.Context) (*pipeline.Project, error) {
	info, err := os.Stat(f.dir)
	if err != nil {
		return nil, fmt.Errorf("no folder %s", f.dir)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", f.dir)
	}
	if err := f.identify(ctx); err != nil {
		return nil, err
	}
	files, err := f.files(ctx)
	if err != nil {
		return nil, err
	}
	project, err := f.load(files)
	if err == nil {
		go project.ReadAhead() // while git is asked for the event
	}
	return project, err
}

// identify fills in what no flag says from the repository, and reports it.
func (f *projectFlags) identify(ctx context.Context) error {
	if f.identified {
		return nil
	}
	f.identified = true
	f.config = inTree(f.config, filepath.Separator)
	repository, err := gitevent.Open(ctx, f.dir, gitevent.Options{Committed: f.committed, Env: os.Environ()})
	switch {
	case err == nil:
		f.repository = repository
	case !errors.Is(err, gitevent.ErrNotARepository) && !errors.Is(err, git.ErrNotInstalled):
		return err
	}
	var id gitevent.Identity
	if f.repository != nil {
		id = f.repository.Identity
	}
	f.printIdentity(id)
	if f.host == "" || f.host == id.Host {
		f.protocol, f.registry, f.projects, f.sshPort = id.Protocol, id.Registry, id.Projects, id.SSHPort
	}
	f.path = cmp.Or(f.path, id.Path)
	if f.host == "" && id.Foreign != "" {
		f.host = "gitlab.com"
	}
	f.host = cmp.Or(f.host, id.Host)
	f.knownPath, f.knownHost = f.path != "", f.host != ""
	f.path, f.host = cmp.Or(f.path, defaultPath), cmp.Or(f.host, defaultHost)
	f.defBranch = cmp.Or(f.defBranch, id.DefaultBranch, defaultBranch)
	return nil
}

// inTree returns a path that a person has typed, relative to the project, as git and GitLab write it. Windows has another separator.
func inTree(name string, separator rune) string {
	return path.Clean(strings.ReplaceAll(name, string(separator), "/"))
}

// printIdentity prints on standard error what was read from the repository, for another clone may say something else.
func (f *projectFlags) printIdentity(id gitevent.Identity) {
	var parts []string
	from := cmp.Or(id.Remote, "the branches of this clone")
	if id.Remote == "CI" {
		return // in a job of GitLab, the identity is known
	}
	if f.path == "" && id.Path != "" {
		parts = append(parts, "project "+id.Path)
	}
	switch {
	case f.host != "":
	case id.Foreign != "":
		parts = append(parts, "host gitlab.com ("+id.Foreign+" is not GitLab)")
	case id.Host != "":
		parts = append(parts, "host "+id.Host)
	}
	switch {
	case f.defBranch != "":
	case id.DefaultBranch == "" && id.Remote != "":
		parts = append(parts, "default branch "+defaultBranch+" (assumed: this clone does not have it)")
	case id.DefaultBranch != "" && (len(parts) > 0 || id.DefaultBranch != defaultBranch):
		parts = append(parts, "default branch "+id.DefaultBranch)
	}
	if len(parts) > 0 && !f.silent {
		f.note("%s, from %s; `slipway config` shows how to set them", strings.Join(parts, ", "), from)
	}
}

// note writes a note to standard error.
func (f *projectFlags) note(format string, args ...any) {
	fmt.Fprintf(f.cmd.ErrOrStderr(), "slipway: "+format+"\n", args...)
}

// files is the project's work tree, or, with --committed, the tree of its commit.
func (f *projectFlags) files(ctx context.Context) (fs.FS, error) {
	if !f.committed {
		return os.DirFS(f.dir), nil
	}
	if f.head == nil {
		tree, err := gittree.Open(ctx, f.dir, "HEAD")
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("--committed: the repository has no commit yet")
		}
		if err != nil {
			return nil, fmt.Errorf("--committed: %w", err)
		}
		f.head = tree
	}
	return f.below(ctx, f.head)
}

// below returns the part of a commit's tree that is the project's: -C can name a folder inside of the repository.
func (f *projectFlags) below(ctx context.Context, tree fs.FS) (fs.FS, error) {
	prefix, err := git.In(f.dir).Text(ctx, "rev-parse", "--show-prefix")
	if prefix = strings.TrimSuffix(prefix, "/"); err != nil || prefix == "" {
		return tree, err
	}
	return fs.Sub(tree, prefix)
}

// load loads the project from a tree: the work tree or a commit's.
func (f *projectFlags) load(files fs.FS) (*pipeline.Project, error) {
	includes, err := f.includes.resolver()
	if err != nil {
		return nil, err
	}
	options := pipeline.Options{
		ConfigPath: f.config, Path: f.path, Host: f.host, Protocol: f.protocol, SSHPort: f.sshPort, Registry: f.registry, DefaultBranch: f.defBranch,
		Resolver: includes, SkipMissing: f.includes.skipping(), Hints: f.hints(),
	}
	if f.variables != "" {
		variables, err := readVariables(f.variables)
		if err != nil {
			return nil, err
		}
		options.Variables = variables
	}
	project, err := pipeline.Load(files, options)
	if errors.Is(err, fs.ErrNotExist) {
		dir, absErr := filepath.Abs(f.dir)
		if absErr != nil {
			dir = f.dir
		}
		return nil, fmt.Errorf("no %s in %s; -C names another folder, --config another file", f.config, dir)
	}
	return project, err
}

// gitUser is the person whose name git puts on commits made here.
func gitUser(ctx context.Context, dir string) runner.User {
	return runner.User{Name: gitLine(ctx, dir, "config", "user.name"), Email: gitLine(ctx, dir, "config", "user.email")}
}

// gitLine is what a git command prints, trimmed; empty if there is no repository, or no commit, to ask.
func gitLine(ctx context.Context, dir string, args ...string) string {
	out, err := git.In(dir).Text(ctx, args...)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}
