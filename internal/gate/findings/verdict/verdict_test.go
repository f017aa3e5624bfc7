package verdict

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
	"gitlab.com/slipway-ci/slipway/internal/gate/findings/risk"
	"gitlab.com/slipway-ci/slipway/internal/gate/findings/scanner"
	"gitlab.com/slipway-ci/slipway/internal/gate/gitdiff"
)

var now = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func report(t *testing.T, name string) *findings.Report {
	t.Helper()
	file, err := os.Open("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := scanner.Read("", file, scanner.Options{Paths: scanner.Paths{ScanRoot: "/builds/acme/vulnerable"}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func risks(t *testing.T, text string) []risk.Risk {
	t.Helper()
	list, err := risk.Parse("risks.yml", []byte(text), now, 365)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func entry(rule, path, expires string) string {
	text := "- rule: " + rule + "\n  owner: me\n  reason: because\n  expires: " + expires + "\n"
	if path != "" {
		text += "  path: \"" + path + "\"\n"
	}
	return text
}

func TestDecide(t *testing.T) {
	t.Parallel()
	changed := func(path string, first, last int) *gitdiff.Set {
		return &gitdiff.Set{Files: []gitdiff.File{{Path: path, Lines: []gitdiff.Range{{First: first, Last: last}}}}}
	}
	for _, test := range []struct {
		name, fixture string
		policy        Policy
		risks         string
		red           bool
		// want counts what is neither below the threshold nor not new.
		want   map[Outcome]int
		unused int
	}{
		{name: "nothing found", fixture: "gosec/green.json", want: map[Outcome]int{}},
		{name: "findings", fixture: "gosec/red.json", policy: Policy{MinSeverity: findings.Medium}, red: true,
			want: map[Outcome]int{Blocking: 8, Suppressed: 1}},
		{name: "high only", fixture: "gosec/red.json", policy: Policy{MinSeverity: findings.High}, red: true,
			want: map[Outcome]int{Blocking: 2, Suppressed: 1}},
		{name: "high and sure only", fixture: "gosec/red.json", policy: Policy{MinSeverity: findings.High, MinConfidence: findings.HighConfidence},
			red: true, want: map[Outcome]int{Blocking: 1, Suppressed: 1}},
		{name: "critical only", fixture: "gosec/red.json", policy: Policy{MinSeverity: findings.Critical}, want: map[Outcome]int{Suppressed: 1}},
		{name: "accepted", fixture: "gosec/red.json", policy: Policy{MinSeverity: findings.High},
			risks: entry("G703", "main.go", "2026-12-31") + entry("G115", "**", "2026-06-15"),
			want:  map[Outcome]int{Accepted: 2, Suppressed: 1}},
		{name: "accepted by weakness", fixture: "gosec/red.json", policy: Policy{MinSeverity: findings.High}, red: true,
			risks: entry("CWE-22", "main.go", "2026-12-31"), want: map[Outcome]int{Accepted: 1, Blocking: 1, Suppressed: 1}},
		{name: "expired", fixture: "gosec/red.json", policy: Policy{MinSeverity: findings.High}, red: true,
			risks: entry("G703", "main.go", "2026-06-14") + entry("G115", "**", "2026-12-31"),
			want:  map[Outcome]int{Expired: 1, Accepted: 1, Suppressed: 1}},
		{name: "accepted elsewhere", fixture: "gosec/red.json", policy: Policy{MinSeverity: findings.High}, red: true,
			risks: entry("G703", "other.go", "2026-12-31"), want: map[Outcome]int{Blocking: 2, Suppressed: 1}, unused: 1},
		{name: "of no concern", fixture: "gosec/red.json", policy: Policy{MinSeverity: findings.Critical},
			risks: entry("GO-2024-0001", "", "2026-12-31") + entry("aws-access-token", "**", "2026-12-31"), want: map[Outcome]int{Suppressed: 1}},
		{name: "new ones only", fixture: "gosec/red.json", policy: Policy{MinSeverity: findings.Low, Changed: changed("main.go", 26, 30)}, red: true,
			want: map[Outcome]int{Blocking: 2, Suppressed: 1}},
		{name: "nothing new", fixture: "gosec/red.json", policy: Policy{MinSeverity: findings.Low, Changed: changed("main.go", 1, 3)},
			want: map[Outcome]int{Suppressed: 1}},
		{name: "a secret is never old", fixture: "gitleaks/red.json", policy: Policy{Changed: changed("other.go", 1, 3)}, red: true,
			want: map[Outcome]int{Blocking: 1}},
		{name: "a vulnerability is never old", fixture: "govulncheck/red.json", policy: Policy{MinSeverity: findings.High, Changed: changed("main.go", 1, 99)},
			red: true, want: map[Outcome]int{Blocking: 2}},
		{name: "called ones accepted", fixture: "govulncheck/red.json", policy: Policy{MinSeverity: findings.High},
			risks: entry("GO-2099-0001", "", "2026-12-31") + entry("CVE-2099-1004", "", "2026-12-31"), want: map[Outcome]int{Accepted: 2}},
		{name: "linter", fixture: "golangci/red.json", policy: Policy{MinSeverity: findings.High}, red: true, want: map[Outcome]int{Blocking: 3}},
		{name: "image", fixture: "grype/red.json", policy: Policy{MinSeverity: findings.High}, red: true, want: map[Outcome]int{Blocking: 1}},
		{name: "clean image", fixture: "grype/green.json", want: map[Outcome]int{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := test.policy
			p.Now, p.Risks = now, risks(t, test.risks)
			v := Decide([]*findings.Report{report(t, test.fixture)}, p)
			got := map[Outcome]int{}
			for _, j := range v.Judgements {
				if j.Outcome != Minor && j.Outcome != Old {
					got[j.Outcome]++
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if v.Red() != test.red {
				t.Errorf("red: %v, want %v", v.Red(), test.red)
			}
			if len(v.Unused) != test.unused {
				t.Errorf("unused: %v", v.Unused)
			}
		})
	}
}

func TestIncompleteAndStale(t *testing.T) {
	t.Parallel()
	if v := Decide([]*findings.Report{report(t, "gosec/incomplete.json")}, Policy{Now: now}); len(v.Incomplete) == 0 {
		t.Error("a scan of code that does not compile is complete")
	}
	// The fixture's database is of 2026-01-02.
	for days, stale := range map[int]int{0: 0, 7: 1, 365: 0} {
		t.Run(fmt.Sprint(days), func(t *testing.T) {
			v := Decide([]*findings.Report{report(t, "govulncheck/green.json")}, Policy{Now: now, MaxDatabaseAge: time.Duration(days) * 24 * time.Hour})
			if len(v.Stale) != stale {
				t.Errorf("%d days: %v", days, v.Stale)
			}
		})
	}
}

// TestMessage: the last lines say what, where, how to fix, how to accept, and where to read more.
func TestMessage(t *testing.T) {
	t.Parallel()
	policy := Policy{MinSeverity: findings.High, Now: now, Risks: risks(t, entry("G115", "**", "2026-06-14")+entry("G999", "**", "2026-12-31"))}
	v := Decide([]*findings.Report{report(t, "gosec/red.json")}, policy)
	var b bytes.Buffer
	v.Write(&b, Advice{Accepted: "risks.yml", Page: "https://example.com/gates", Now: now})
	want := `11 findings, 1 blocking, 1 expired, 1 suppressed, 8 below the threshold
warning: risks.yml:6: no finding matches the accepted risk G999 any more; remove the entry

HIGH      gosec G703  main.go:19  Path traversal via taint analysis
HIGH      gosec G115  main.go:25  integer overflow conversion int64 -> int32
          accepted by me until 2026-06-14, which is over (risks.yml:1)

2 findings stop this change.
How to fix:    change the code at the places above; the rule's page says how.
How to accept: add to risks.yml, and have it reviewed:
  - rule: G703
    path: main.go
    owner: "@owner"
    reason: why it is not exploitable here
    expires: 2026-09-15
More:          https://example.com/gates
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	// What the message proposes has to be what the file takes.
	_, proposal, _ := strings.Cut(b.String(), "reviewed:\n")
	proposal, _, _ = strings.Cut(proposal, "More:")
	if _, err := risk.Parse("proposal", []byte(proposal), now, 365); err != nil {
		t.Error(err)
	}
}
