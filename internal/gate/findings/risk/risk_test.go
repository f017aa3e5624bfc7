package risk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

var today = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

const good = `# what we live with
- rule: G304
  path: internal/config/**
  owner: "@acme/platform"
  reason: the path is the operator's
  expires: 2026-12-31
- rule: CVE-2024-24790
  scanner: grype
  owner: "@acme/platform"
  reason: not compiled in
  expires: 2026-06-15
`

func TestParse(t *testing.T) {
	t.Parallel()
	risks, err := Parse("risks.yml", []byte(good), today, 365)
	if err != nil {
		t.Fatal(err)
	}
	if len(risks) != 2 || risks[0].Owner != "@acme/platform" || risks[1].Position != "risks.yml:7" {
		t.Errorf("%+v", risks)
	}
	for _, empty := range []string{"", "# nothing yet\n", "[]\n", "---\n"} {
		t.Run(fmt.Sprintf("%q", empty), func(t *testing.T) {
			if risks, err := Parse("risks.yml", []byte(empty), today, 365); err != nil || len(risks) != 0 {
				t.Errorf("%q: %v, %v", empty, risks, err)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, old, new, want string }{
		{"unknown key", "path:", "paht:", "risks.yml:3:3: unknown key \"paht\""},
		{"no owner", `  owner: "@acme/platform"` + "\n  reason: the", "  reason: the", "risks.yml:2:3: owner is missing"},
		{"no reason", "the path is the operator's", `""`, "reason is missing"},
		{"no expiry", "  expires: 2026-12-31\n", "", "expires is missing"},
		{"no date", "2026-12-31", "next year", "is not a valid date; write it as 2027-06-15"},
		{"too far", "2026-12-31", "2027-06-16", "more than 365 days away; the last possible day is 2027-06-15"},
		{"no path", "  path: internal/config/**\n", "", "path is missing"},
		{"bad pattern", "internal/config/**", "internal/[config", "not a valid pattern"},
		{"absolute path", "internal/config/**", "/internal/config/**", "begins with neither"},
		{"rule for everything", "rule: G304", `rule: "*"`, "one rule"},
		{"twice", "rule: G304", "rule: G304\n  rule: G305", "rule is given twice"},
		{"list for a text", "rule: G304", "rule: [G304]", "must be a string"},
		{"no list", good, "rule: G304\n", "must be a list"},
		{"text for an entry", good, "- G304\n", "an entry has keys"},
		{"two documents", good, good + "---\n" + good, "second document"},
		{"broken YAML", good, "- rule: [\n", "risks.yml"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bad := strings.Replace(good, test.old, test.new, 1)
			if bad == good {
				t.Fatalf("there is no %q", test.old)
			}
			_, err := Parse("risks.yml", []byte(bad), today, 365)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	risks, err := Parse("risks.yml", []byte(good), today, 365)
	if err != nil {
		t.Fatal(err)
	}
	gosec, grype := findings.Tool{ID: "gosec"}, findings.Tool{ID: "grype"}
	cve := []findings.Identifier{{Type: "cve", Name: "CVE-2024-24790", Value: "CVE-2024-24790"}}
	for _, test := range []struct {
		name    string
		tool    findings.Tool
		finding findings.Finding
		want    bool
	}{
		{"rule and path", gosec, findings.Finding{Rule: "G304", Location: findings.Location{File: "internal/config/a/b.go"}}, true},
		{"other path", gosec, findings.Finding{Rule: "G304", Location: findings.Location{File: "internal/store/b.go"}}, false},
		{"other rule", gosec, findings.Finding{Rule: "G305", Location: findings.Location{File: "internal/config/b.go"}}, false},
		{"alias", grype, findings.Finding{Rule: "GHSA-1", Identifiers: cve}, true},
		{"other scanner", gosec, findings.Finding{Rule: "GHSA-1", Identifiers: cve}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Find(risks, test.tool, &test.finding) != nil; got != test.want {
				t.Errorf("%s: %v", test.name, got)
			}
		})
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	r := Risk{Expires: time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)}
	for clock, want := range map[string]bool{"2026-06-15T00:00:00Z": false, "2026-06-15T23:59:59Z": false, "2026-06-16T00:00:00Z": true} {
		t.Run(clock, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, clock)
			if err != nil {
				t.Fatal(err)
			}
			if r.Expired(now) != want {
				t.Errorf("%s: expired %v", clock, !want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("- rule: &a G304\n  path: *a\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = Parse("risks.yml", data, today, 365)
	})
}
