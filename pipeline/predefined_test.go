package pipeline

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitCommitMessage(t *testing.T) {
	long := strings.Repeat("ä", 100)
	for _, test := range []struct{ message, title, description string }{
		{"fix", "fix", ""},
		{"fix\n", "fix", ""},
		{"fix\nit", "fix", "it"},
		{"fix\n\nit\n", "fix", "\nit"},
		{"fix\r\nit\r\n", "fix", "it"},
		{long + "\nit", long, long + "\nit"},
		{long[2:] + "\nit", long[2:], "it"},
	} {
		t.Run(test.message, func(t *testing.T) {
			if title, description := splitCommitMessage(test.message); title != test.title || description != test.description {
				t.Errorf("%q: title %q, description %q; want %q, %q", test.message, title, description, test.title, test.description)
			}
		})
	}
}

// The variables of the instance are those of GitLab with such a URL: an IPv6 address keeps its brackets, as in Ruby's URI.
func TestVariablesOfTheInstance(t *testing.T) {
	keys := []string{"CI_SERVER_URL", "CI_SERVER_HOST", "CI_SERVER_PORT", "CI_SERVER_FQDN", "CI_SERVER_SHELL_SSH_HOST", "CI_SERVER_SHELL_SSH_PORT",
		"CI_API_V4_URL", "CI_PROJECT_URL", "CI_PROJECT_PATH", "CI_REGISTRY_IMAGE", "CI_PAGES_URL"}
	for name, test := range map[string]struct {
		options Options
		want    []string
	}{
		"a name": {Options{Host: "gitlab.example.com", Protocol: "https", Path: "Acme/sub/App"}, []string{
			"https://gitlab.example.com", "gitlab.example.com", "443", "gitlab.example.com", "gitlab.example.com", "22", "https://gitlab.example.com/api/v4",
			"https://gitlab.example.com/Acme/sub/App", "Acme/sub/App", "registry.gitlab.example.com/acme/sub/app", "https://acme.pages.gitlab.example.com/sub/App"}},
		"http with a port": {Options{Host: "gitlab.example.com:8080", Protocol: "http", Path: "g/p", SSHPort: "2222"}, []string{
			"http://gitlab.example.com:8080", "gitlab.example.com", "8080", "gitlab.example.com:8080", "gitlab.example.com", "2222", "http://gitlab.example.com:8080/api/v4",
			"http://gitlab.example.com:8080/g/p", "g/p", "registry.gitlab.example.com/g/p", "https://g.pages.gitlab.example.com/p"}},
		"http": {Options{Host: "localhost", Protocol: "http", Path: "g/p", Registry: "localhost:5000"}, []string{
			"http://localhost", "localhost", "80", "localhost", "localhost", "22", "http://localhost/api/v4",
			"http://localhost/g/p", "g/p", "localhost:5000/g/p", "https://g.pages.localhost/p"}},
		"IPv6": {Options{Host: "[::1]", Protocol: "https", Path: "g/p"}, []string{
			"https://[::1]", "[::1]", "443", "[::1]", "[::1]", "22", "https://[::1]/api/v4", "https://[::1]/g/p", "g/p", "[::1]:5050/g/p", ""}},
		"IPv6 with a port": {Options{Host: "[2001:db8::1]:8443", Protocol: "https", Path: "g/p"}, []string{
			"https://[2001:db8::1]:8443", "[2001:db8::1]", "8443", "[2001:db8::1]:8443", "[2001:db8::1]", "22", "https://[2001:db8::1]:8443/api/v4",
			"https://[2001:db8::1]:8443/g/p", "g/p", "[2001:db8::1]:5050/g/p", ""}},
		"IPv4": {Options{Host: "10.0.0.1:8443", Protocol: "https", Path: "g/p"}, []string{
			"https://10.0.0.1:8443", "10.0.0.1", "8443", "10.0.0.1:8443", "10.0.0.1", "22", "https://10.0.0.1:8443/api/v4",
			"https://10.0.0.1:8443/g/p", "g/p", "10.0.0.1:5050/g/p", ""}},
		"GitLab.com and the pages of a group": {Options{Host: "gitlab.com", Protocol: "https", Path: "Acme/acme.gitlab.io"}, []string{
			"https://gitlab.com", "gitlab.com", "443", "gitlab.com", "gitlab.com", "22", "https://gitlab.com/api/v4",
			"https://gitlab.com/Acme/acme.gitlab.io", "Acme/acme.gitlab.io", "registry.gitlab.com/acme/acme.gitlab.io", "https://acme.gitlab.io"}},
	} {
		t.Run(name, func(t *testing.T) {
			set := predefined(test.options, Event{Source: Push, Branch: "main"})
			var got []string
			for _, key := range keys {
				value := ""
				if i := set.find(key); i >= 0 {
					value = set.list[i].Value
				}
				got = append(got, value)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
