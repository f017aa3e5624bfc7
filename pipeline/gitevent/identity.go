package gitevent

import (
	"context"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/git"
)

// An Identity is the project on GitLab that a repository is a clone of. What the repository does not show is empty.
type Identity struct {
	// Path is the project's full path, Host the instance's host as in URLs, with a port where it is not the protocol's own.
	Path, Host string
	// SSHPort is where the instance serves git over SSH, if it is not port 22.
	SSHPort string
	// Protocol is that of the instance's pages, "https" or "http".
	Protocol string
	// DefaultBranch is the project's default branch.
	DefaultBranch string
	// Registry is the host of the instance's container registry, which only a job's variables name.
	Registry string
	// Projects is the URL that the path of another project of the instance is appended to, for git.
	Projects string
	// Remote is the name of the remote that the path was read from; "CI" if it was read from the variables of a job.
	Remote string
	// Foreign is the host of the remote if it is known not to be GitLab; Host is then empty.
	Foreign string
}

// foreignHosts are not instances of GitLab.
var foreignHosts = []string{"github.com", "ssh.github.com", "bitbucket.org", "codeberg.org", "git.sr.ht", "gitea.com", "dev.azure.com", "ssh.dev.azure.com", "gitee.com"}

// identify finds out which project this is.
func (r *Repository) identify(ctx context.Context, s settings) error {
	id := &r.Identity
	name := s.identityRemote()
	id.DefaultBranch = r.defaultBranch(name, s.fetchesAll(name))
	if r.inJob() && r.env["CI_PROJECT_PATH"] != "" {
		r.identifyJob()
	}
	address := s["remote."+name+".url"]
	if address == "" {
		return nil
	}
	if s.rewritesURLs() {
		rewritten, err := r.git.Text(ctx, "ls-remote", "--get-url", name)
		if err != nil {
			return err
		}
		// A mirror on this machine, which git reads instead, does not say what the project is called.
		if _, ok := git.ParseRemote(rewritten); ok {
			address = rewritten
		}
	}
	remote, ok := git.ParseRemote(address)
	if !ok || id.Path != "" {
		return nil
	}
	id.Path, id.Remote = remote.Path, name
	if slices.Contains(foreignHosts, remote.Host) {
		id.Foreign = remote.Host
		return nil
	}
	id.Host, id.Protocol, id.Projects = remote.Host, "https", remote.Base()
	if remote.Scheme == "http" {
		id.Protocol = "http"
	}
	// The port of ssh says nothing of the pages.
	if remote.Port != "" && remote.Scheme != "ssh" {
		id.Host += ":" + remote.Port
	}
	// The host of ssh on port 443 is another one than that of the pages (altssh.gitlab.com).
	id.Host = strings.TrimPrefix(id.Host, "altssh.")
	if remote.Scheme == "ssh" && id.Host == remote.Host {
		id.SSHPort = remote.Port
	}
	return nil
}

// identityRemote is the remote that says which project this is: origin, unless another one is GitLab's and origin is not.
func (s settings) identityRemote() string {
	name := s.remote()
	if origin, ok := git.ParseRemote(s["remote."+name+".url"]); ok && !slices.Contains(foreignHosts, origin.Host) {
		return name
	}
	others := s.remotes()
	slices.Sort(others)
	for _, other := range others {
		if remote, ok := git.ParseRemote(s["remote."+other+".url"]); ok && (other == "gitlab" || strings.Contains(remote.Host, "gitlab")) {
			return other
		}
	}
	return name
}

// defaultBranch is what the remote has as HEAD; without that, the branch that can only be it. Where not all branches were fetched,
// as by `git clone --depth 1 --branch topic`, being the only one means nothing.
func (r *Repository) defaultBranch(remote string, all bool) string {
	prefix := "refs/heads/"
	if remote != "" {
		prefix = "refs/remotes/" + remote + "/"
		if branch, ok := strings.CutPrefix(r.symbolic[prefix+"HEAD"], prefix); ok {
			return branch
		}
	}
	if branch := r.onlyBranch(prefix, all); branch != "" {
		return branch
	}
	// Nothing was fetched from the remote.
	return r.onlyBranch("refs/heads/", all)
}

// onlyBranch returns main or master if there is one of them, or the only branch if the clone has all.
func (r *Repository) onlyBranch(prefix string, complete bool) string {
	var all []string
	for ref := range r.refs {
		if branch, ok := strings.CutPrefix(ref, prefix); ok && branch != "HEAD" {
			all = append(all, branch)
		}
	}
	hasMain, hasMaster := slices.Contains(all, "main"), slices.Contains(all, "master")
	switch {
	case hasMain:
		return "main"
	case hasMaster:
		return "master"
	case complete && len(all) == 1:
		return all[0]
	}
	return ""
}
