package scanner

import (
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// cwe names an entry of the Common Weakness Enumeration.
func cwe(id string) findings.Identifier {
	id = strings.TrimPrefix(strings.ToUpper(id), "CWE-")
	return findings.Identifier{Type: "cwe", Name: "CWE-" + id, Value: id, URL: "https://cwe.mitre.org/data/definitions/" + id + ".html"}
}

// vulnerability names a CVE, a GHSA or an entry of Go's database.
func vulnerability(id string) findings.Identifier {
	i := findings.Identifier{Type: "other", Name: id, Value: id}
	switch {
	case strings.HasPrefix(id, "CVE-"):
		i.Type, i.URL = "cve", "https://nvd.nist.gov/vuln/detail/"+id
	case strings.HasPrefix(id, "GHSA-"):
		i.Type, i.URL = "ghsa", "https://github.com/advisories/"+id
	case strings.HasPrefix(id, "GO-"):
		i.Type, i.URL = "go", "https://pkg.go.dev/vuln/"+id
	}
	return i
}
