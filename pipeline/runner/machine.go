package runner

import (
	"slices"
	"strings"
)

// machineVariables are what a job gets from the environment of the caller: what makes a machine work, and no secrets.
var machineVariables = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM",
	"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
	"GOTOOLCHAIN", "GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOFLAGS", "GOENV", "GOPATH",
	"GOROOT", "GOCACHE", "GOMODCACHE", "GOTMPDIR", "GOCACHEPROG", "GOVCS", "GOAUTH", "GOMAXPROCS", "GOMEMLIMIT", "NETRC",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO",
	"DOCKER_HOST", "CONTAINER_HOST",
}

// machineEnvironment picks from an environment what jobs may see: machineVariables and those named in pass.
func machineEnvironment(environ, pass []string) []string {
	var kept []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains(pass, name) || slices.ContainsFunc(machineVariables, func(known string) bool {
			prefix, isPrefix := strings.CutSuffix(known, "*")
			return name == known || isPrefix && strings.HasPrefix(name, prefix)
		}) {
			kept = append(kept, entry)
		}
	}
	if !slices.ContainsFunc(kept, func(s string) bool { return strings.HasPrefix(s, "PATH=") }) {
		kept = append(kept, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return kept
}

// withPath puts a folder first in the PATH of an environment.
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
