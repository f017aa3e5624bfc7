package runner

import (
	"slices"
	"strings"
)

// machineVariables are the variables that a job gets from the environment of the caller: those that programs need to run, and no secrets.
var machineVariables = []string{
	"PATH", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM",
	"GOTOOLCHAIN", "GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOFLAGS",
	"GOROOT", "GOCACHE", "GOMODCACHE", "GOTMPDIR", "GOCACHEPROG", "GOVCS", "GOAUTH", "GOMAXPROCS", "GOMEMLIMIT",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO",
	"DOCKER_HOST", "CONTAINER_HOST",
}

// userVariables are those by which programs find the user's settings, credentials and agents. Programs that slipway itself starts,
// such as git, get them; jobs do not.
var userVariables = []string{
	"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "GOENV", "GOPATH", "NETRC",
}

// pick returns the variables of an environment that have one of the names; a * at the end of a name matches any text.
func pick(environ, names []string) []string {
	var kept []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if slices.ContainsFunc(names, func(known string) bool {
			prefix, isPrefix := strings.CutSuffix(known, "*")
			return name == known || isPrefix && strings.HasPrefix(name, prefix)
		}) {
			kept = append(kept, entry)
		}
	}
	return kept
}

// machineEnvironment returns the variables of an environment that programs need to run, always with a PATH.
func machineEnvironment(environ []string) []string {
	kept := pick(environ, machineVariables)
	if !slices.ContainsFunc(kept, func(s string) bool { return strings.HasPrefix(s, "PATH=") }) {
		kept = append(kept, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return kept
}

// withPath returns an environment with a folder first in its PATH.
func withPath(environ []string, folder string) []string {
	if folder == "" {
		return environ
	}
	changed := slices.Clone(environ)
	for i, entry := range changed {
		if path, isPath := strings.CutPrefix(entry, "PATH="); isPath {
			changed[i] = "PATH=" + folder + ":" + path
		}
	}
	return changed
}
