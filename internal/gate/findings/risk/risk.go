// Package risk reads the file of accepted risks: findings that somebody has looked at and answers for until a date.
//
//	# .gitlab/accepted-risks.yml
//	- rule: G304
//	  path: internal/config/*.go
//	  owner: "@acme/platform"
//	  reason: the path comes from the operator's flag, not from a request
//	  expires: 2027-06-30
package risk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

// A Risk is one accepted risk.
type Risk struct {
	// Rule is the scanner's rule, or any identifier of the finding: "G304", "GO-2024-2687", "CVE-2024-24790".
	Rule string
	// Path is a glob of the finding's file, `**` for any directories; empty only for vulnerabilities, which are in no file.
	Path string
	// Scanner limits the risk to one scanner, as in "gosec"; Fingerprint to one finding. Both may be empty.
	Scanner, Fingerprint string
	// Owner answers for it, because of Reason, until the end of the day Expires in UTC.
	Owner, Reason string
	Expires       time.Time
	// Position is where the file says so, as in "accepted-risks.yml:3".
	Position string
}

// Expired reports whether the day is over.
func (r *Risk) Expired(now time.Time) bool { return !now.Before(r.Expires.AddDate(0, 0, 1)) }

// Covers reports whether the risk is about a finding of a tool, expired or not.
func (r *Risk) Covers(tool findings.Tool, f *findings.Finding) bool {
	if r.Scanner != "" && r.Scanner != tool.ID || r.Fingerprint != "" && r.Fingerprint != f.Fingerprint || !f.Matches(r.Rule) {
		return false
	}
	return r.Path == "" || doublestar.MatchUnvalidated(r.Path, f.Location.File)
}

// gosecRule is what gosec's rules look like.
var gosecRule = lazyregexp.New(`^G\d{3}$`)

// Concerns reports whether the risk can be about a report at all, so that one file serves all scanners.
func (r *Risk) Concerns(report *findings.Report) bool {
	if r.Scanner != "" {
		return r.Scanner == report.Tool.ID
	}
	switch report.Kind {
	case findings.DependencyScanning, findings.ContainerScanning:
		// The same vulnerability may be known to the one and not to the other; a GO- name is govulncheck's own.
		return strings.HasPrefix(r.Rule, "GO-") && report.Tool.ID == "govulncheck"
	case findings.SAST:
		return gosecRule().MatchString(r.Rule) && report.Tool.ID == "gosec"
	}
	return false
}

// Keys of an entry, in the order in which errors list them.
var keys = []string{"rule", "path", "scanner", "fingerprint", "owner", "reason", "expires"}

// Parse reads the file of accepted risks. The name is for messages. No risk may be accepted for more than maxDays from
// now. The error joins everything that is wrong, each with file, line and column.
func Parse(name string, data []byte, now time.Time, maxDays int) ([]Risk, error) {
	var document yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	switch err := d.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil // nothing but comments
	case err != nil:
		return nil, fmt.Errorf("%s: %w (a pattern that begins with * needs quotes)", name, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: there is a second document; put all entries into one list", name)
	}
	list := document.Content[0]
	if list.Kind == yaml.ScalarNode && list.Tag == "!!null" {
		return nil, nil
	}
	if list.Kind != yaml.SequenceNode {
		return nil, at(name, list, "the file must be a list of entries, each beginning with \"- rule:\"")
	}
	var risks []Risk
	var errs []error
	for _, entry := range list.Content {
		r, bad := parseEntry(name, entry, now, maxDays)
		errs = append(errs, bad...)
		risks = append(risks, r)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return risks, nil
}

func at(name string, n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d: %s", name, n.Line, n.Column, fmt.Sprintf(format, args...))
}

func parseEntry(name string, entry *yaml.Node, now time.Time, maxDays int) (r Risk, errs []error) {
	if entry.Kind != yaml.MappingNode {
		return r, []error{at(name, entry, "an entry has keys: %s", strings.Join(keys, ", "))}
	}
	r.Position = fmt.Sprintf("%s:%d", name, entry.Line)
	fields := map[string]*string{"rule": &r.Rule, "path": &r.Path, "scanner": &r.Scanner, "fingerprint": &r.Fingerprint,
		"owner": &r.Owner, "reason": &r.Reason, "expires": new(string)}
	nodes := map[string]*yaml.Node{}
	for i := 0; i < len(entry.Content); i += 2 {
		key, value := entry.Content[i], entry.Content[i+1]
		field, known := fields[key.Value]
		switch {
		case !known:
			errs = append(errs, at(name, key, "unknown key %q; known are %s", key.Value, strings.Join(keys, ", ")))
			continue
		case nodes[key.Value] != nil:
			errs = append(errs, at(name, key, "%s is given twice", key.Value))
		case value.Kind != yaml.ScalarNode:
			errs = append(errs, at(name, value, "%s must be a string", key.Value))
			continue
		}
		nodes[key.Value] = value
		*field = strings.TrimSpace(value.Value)
	}
	for _, key := range []string{"rule", "owner", "reason", "expires"} {
		if *fields[key] == "" {
			errs = append(errs, at(name, entry, "%s is missing", key))
		}
	}
	if strings.ContainsAny(r.Rule, "*?[") {
		errs = append(errs, at(name, nodes["rule"], "rule must be one rule, but %q is a pattern", r.Rule))
	}
	switch {
	case r.Path == "":
		if r.Rule != "" && !isVulnerability(r.Rule) {
			errs = append(errs, at(name, entry, "path is missing; it is optional only for vulnerabilities (CVE-, GHSA-, GO-)"))
		}
	case !doublestar.ValidatePattern(r.Path):
		errs = append(errs, at(name, nodes["path"], "path %q is not a valid pattern", r.Path))
	case strings.HasPrefix(r.Path, "/") || strings.HasPrefix(r.Path, "./"):
		errs = append(errs, at(name, nodes["path"], "path is relative to the repository's root and begins with neither / nor ./"))
	}
	if text := *fields["expires"]; text != "" {
		var err error
		last := now.AddDate(0, 0, maxDays)
		if r.Expires, err = time.Parse(time.DateOnly, text); err != nil {
			errs = append(errs, at(name, nodes["expires"], "expires %q is not a valid date; write it as %s", text, last.Format(time.DateOnly)))
		} else if r.Expires.After(last) {
			errs = append(errs, at(name, nodes["expires"], "expires %s is more than %d days away; the last possible day is %s", text, maxDays,
				last.Format(time.DateOnly)))
		}
	}
	return r, errs
}

func isVulnerability(id string) bool {
	for _, prefix := range []string{"CVE-", "GHSA-", "GO-"} {
		if strings.HasPrefix(id, prefix) {
			return true
		}
	}
	return false
}

// Find returns the risk that covers a finding and lasts longest; nil if there is none. It may have expired.
func Find(risks []Risk, tool findings.Tool, f *findings.Finding) *Risk {
	var covering []*Risk
	for i := range risks {
		if risks[i].Covers(tool, f) {
			covering = append(covering, &risks[i])
		}
	}
	if len(covering) == 0 {
		return nil
	}
	sort.SliceStable(covering, func(i, j int) bool { return covering[i].Expires.After(covering[j].Expires) })
	return covering[0]
}
