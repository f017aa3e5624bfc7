package pipeline

import (
	"context"
	"io/fs"
	"sync"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/repository"
)

// Options describe the project as GitLab knows it.
type Options struct {
	// ConfigPath is the configuration's file; ".gitlab-ci.yml" if empty.
	ConfigPath string
	// Path is the project's full path; "acme/app" if empty. Host is the instance's as in URLs, with a port where it is not the
	// protocol's own, and an IPv6 address in brackets; "gitlab.example.com" if empty.
	Path, Host string
	// Protocol is that of the URLs of the instance: "http" or "https" (if empty).
	Protocol string
	// SSHPort is where the instance serves git over SSH; "22" if empty.
	SSHPort string
	// Registry is the host of the instance's container registry; GitLab's usual name for it if empty. Rules see it as CI_REGISTRY
	// and CI_REGISTRY_IMAGE; the variables of jobs have neither, unless the event has.
	Registry string
	// DefaultBranch is "main" if empty.
	DefaultBranch string
	// Variables are the project's CI/CD settings; they override YAML variables.
	Variables []Variable
	// Resolver has the files of other projects, components and URLs; without one, such includes are errors.
	Resolver Resolver
	// Hints advise the user of the program what to do about problems with a code, such as which of its flags to set.
	Hints map[Code]string
	// SkipMissing, if set, lets a part of the configuration be compiled. It is called for each include that is unavailable, and
	// then for each reference to what is missing, and reports whether that is skipped; the error says what it is, and where. It
	// can be called again for each event, and must be safe for concurrent use.
	SkipMissing func(*Error) bool
}

// A Resolver has the files of other projects. Implementations must be safe for concurrent use.
type Resolver interface {
	// Project returns the tree of a project at a ref (branch, tag, SHA; "" is its default branch) and the SHA of the commit.
	// The error satisfies errors.Is(err, fs.ErrNotExist) if the project or the ref does not exist.
	Project(ctx context.Context, path, ref string) (tree fs.FS, sha string, err error)
	// Tags lists the project's tags, for the partial versions of components ("1", "1.2", "~latest").
	Tags(ctx context.Context, path string) ([]string, error)
	// Remote returns the body of a URL (`include:remote`), Template a file of GitLab's own templates (`include:template`).
	Remote(ctx context.Context, url string) ([]byte, error)
	Template(ctx context.Context, name string) ([]byte, error)
}

// A FileLister is a file system that lists all its files without a walk, like the tree of a commit.
type FileLister interface {
	// Files lists the paths of all files, sorted.
	Files() ([]string, error)
}

// A Project is a repository at one commit, whose configuration can be compiled for any number of events.
// It is safe for concurrent use; files are read and parsed once.
type Project struct {
	options Options
	own     *repository.Repository
	cache   cache
	warm    sync.Once
}

// Load opens a project's configuration. Errors in it are found by [Project.Plan]; Load fails if the configuration's file
// cannot be read.
func Load(files fs.FS, options Options) (*Project, error) {
	if options.ConfigPath == "" {
		options.ConfigPath = ".gitlab-ci.yml"
	}
	if options.Path == "" {
		options.Path = "acme/app"
	}
	if options.Host == "" {
		options.Host = "gitlab.example.com"
	}
	if options.Protocol == "" {
		options.Protocol = "https"
	}
	if options.DefaultBranch == "" {
		options.DefaultBranch = "main"
	}
	if _, err := fs.Stat(files, options.ConfigPath); err != nil {
		return nil, err
	}
	return &Project{options: options, own: repository.New(files, "", "")}, nil
}

// Source returns the text of one of the project's files and its YAML documents as they are written: what the compiled
// configuration no longer shows. Comments may be left out, as may the tags of plain values, which [yaml.Node.ShortTag]
// gives. The nodes belong to the project and must not be changed. It is an error if there is no such file, or if it is not valid
// YAML.
func (p *Project) Source(name string) (text []byte, documents []*yaml.Node, err error) {
	text, err = p.own.Read(name)
	if err != nil {
		return nil, nil, err
	}
	written := p.cache.parsed.Written(name, text)
	return text, written.Documents, written.Err
}
