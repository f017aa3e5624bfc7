package httpapi

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestClientAddr(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, test := range map[string]struct {
		peer           string
		xff, forwarded []string
		want           string
	}{
		"no proxy":                     {"192.0.2.1:9", nil, nil, "192.0.2.1"},
		"a stranger's header":          {"192.0.2.1:9", []string{"198.51.100.1"}, nil, "192.0.2.1"},
		"a proxy":                      {"10.0.0.1:9", []string{"198.51.100.1"}, nil, "198.51.100.1"},
		"a forged entry":               {"10.0.0.1:9", []string{"203.0.113.9, 198.51.100.1"}, nil, "198.51.100.1"},
		"two proxies":                  {"10.0.0.1:9", []string{"203.0.113.9", "198.51.100.1,10.2.0.1"}, nil, "198.51.100.1"},
		"only proxies":                 {"10.0.0.1:9", []string{"10.0.0.3"}, nil, "10.0.0.3"},
		"no address":                   {"10.0.0.1:9", []string{"198.51.100.1, unknown"}, nil, "10.0.0.1"},
		"forwarded":                    {"10.0.0.1:9", nil, []string{`for=203.0.113.9, For="198.51.100.1:80";proto=https`}, "198.51.100.1"},
		"forwarded, IPv6":              {"[fd00::1]:9", nil, []string{`proto=https;for="[2001:db8::1]:80"`}, "2001:db8::1"},
		"forwarded without an address": {"10.0.0.1:9", nil, []string{"proto=https"}, "10.0.0.1"},
		"both agree":                   {"10.0.0.1:9", []string{"198.51.100.1"}, []string{"for=198.51.100.1"}, "198.51.100.1"},
		"both differ":                  {"10.0.0.1:9", []string{"198.51.100.1"}, []string{"for=203.0.113.9"}, "10.0.0.1"},
		"IPv4 within IPv6":             {"[::ffff:10.0.0.1]:9", []string{"::ffff:198.51.100.1"}, nil, "198.51.100.1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: test.peer, Header: http.Header{"X-Forwarded-For": test.xff, "Forwarded": test.forwarded}}
			if got := clientAddr(r, trusted); got.String() != test.want {
				t.Errorf("%s: %s, want %s", name, got, test.want)
			}
		})
	}
	if a, b := clientNetwork(netip.MustParseAddr("2001:db8::1")), clientNetwork(netip.MustParseAddr("2001:db8::ffff:1")); a != b || a != "2001:db8::/64" {
		t.Errorf("two addresses of a network are limited as %s and %s", a, b)
	}
}
