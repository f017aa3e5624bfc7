package git

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// A Remote is where the URL of a remote repository leads.
type Remote struct {
	// Scheme is "ssh", "https", "http" or "git".
	Scheme string
	// Host is in lower case and without a port; an IPv6 address is in brackets, as in URLs.
	Host string
	// Port is empty for the scheme's own.
	Port string
	// User is the user name of ssh, "git" on GitLab. That of the other schemes is left out, for it may be a token.
	User string
	// Path is the repository's, as "group/subgroup/project".
	Path string
}

var (
	// scpLike is the form [user@]host:path, which ends before the first slash. In brackets are an IPv6 address, or a host with its port.
	scpLike = regexp.MustCompile(`^(?:([^@/:\[]+)@)?(\[[^\]/]+\]|[^/:\[\]]+):([^:].*|)$`)
	// windowsPath is "C:\repository" or "C:/repository", which is not a host called C.
	windowsPath = regexp.MustCompile(`^[A-Za-z]:[\\/]`)
)

var defaultPorts = map[string]string{"ssh": "22", "https": "443", "http": "80", "git": "9418"}

// ParseRemote reads the URL of a remote repository in any of git's forms. It reports false for what has no host: a path on this
// machine, or a bundle.
func ParseRemote(address string) (Remote, bool) {
	if !strings.Contains(address, "://") {
		m := scpLike.FindStringSubmatch(address)
		if m == nil || windowsPath.MatchString(address) {
			return Remote{}, false
		}
		return newRemote(bracketed(Remote{Scheme: "ssh", User: m[1], Host: m[2], Path: m[3]}))
	}
	u, err := url.Parse(address)
	if err != nil {
		return Remote{}, false
	}
	scheme := strings.TrimPrefix(strings.TrimSuffix(strings.ToLower(u.Scheme), "+ssh"), "git+")
	if u.Scheme == "git+ssh" || u.Scheme == "ssh+git" {
		scheme = "ssh"
	}
	r := Remote{Scheme: scheme, Host: u.Hostname(), Port: u.Port(), Path: u.Path}
	if scheme == "ssh" {
		r.User = u.User.Username()
	}
	return newRemote(r)
}

// bracketed reads a host in brackets, as the short form has it: "[::1]", "[host:2222]", or "[git@host:2222]".
func bracketed(r Remote) Remote {
	inner, ok := strings.CutPrefix(strings.TrimSuffix(r.Host, "]"), "[")
	if !ok {
		return r
	}
	if user, rest, ok := strings.Cut(inner, "@"); ok {
		r.User, inner = user, rest
	}
	r.Host = inner
	if host, port, ok := strings.Cut(inner, ":"); ok && !strings.Contains(port, ":") {
		r.Host, r.Port = host, port
	}
	return r
}

func newRemote(r Remote) (Remote, bool) {
	if strings.Contains(r.Host, ":") {
		r.Host = "[" + r.Host + "]"
	}
	known, ok := defaultPorts[r.Scheme]
	if r.Port == known {
		r.Port = ""
	}
	r.Host = strings.ToLower(r.Host)
	r.Path = strings.TrimSuffix(strings.Trim(path.Clean("/"+r.Path), "/"), ".git")
	return r, ok && r.Host != "" && r.Path != ""
}

// Base is the URL that the path of another project of the same server is appended to.
func (r Remote) Base() string {
	host := r.Host
	if r.Port != "" {
		host += ":" + r.Port
	}
	if r.User != "" {
		host = r.User + "@" + host
	}
	return r.Scheme + "://" + host + "/"
}
