package lint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"gitlab.com/slipway-ci/slipway/internal/report"
)

// A Baseline is the findings that a project has accepted: only others are reported. Findings are recognized by rule, file, key path
// and message, not by line.
type Baseline struct {
	fingerprints map[string]bool
}

const baselineVersion = 1

type (
	baselineFile struct {
		Version  int             `json:"version"`
		Findings []baselineEntry `json:"findings"`
	}
	// A baselineEntry is for people, except for its fingerprint.
	baselineEntry struct {
		Rule        string `json:"rule"`
		File        string `json:"file"`
		Path        string `json:"path,omitempty"`
		Message     string `json:"message"`
		Fingerprint string `json:"fingerprint"`
	}
)

// WriteBaseline writes a file that accepts the findings, as far as they can be accepted, and returns how many those are.
func WriteBaseline(w io.Writer, findings []Finding) (accepted int, err error) {
	file := baselineFile{Version: baselineVersion, Findings: []baselineEntry{}}
	for i, print := range fingerprints(findings) {
		if f := findings[i]; acceptable(f) {
			file.Findings = append(file.Findings, baselineEntry{f.Rule, f.Position.File, f.Path, f.Message, print})
		}
	}
	return len(file.Findings), report.JSON(w, file)
}

// acceptable reports whether a baseline can have a finding. What GitLab refuses cannot be accepted.
func acceptable(f Finding) bool { return f.Rule != invalid && f.Rule != gitlabRule }

// ReadBaseline reads what [WriteBaseline] has written.
func ReadBaseline(r io.Reader) (*Baseline, error) {
	var file baselineFile
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("this is not a baseline: %w", err)
	}
	if file.Version != baselineVersion {
		return nil, fmt.Errorf("version %d of baselines is not supported, only %d", file.Version, baselineVersion)
	}
	b := &Baseline{fingerprints: map[string]bool{}}
	for _, entry := range file.Findings {
		if entry.Fingerprint == "" {
			return nil, errors.New("a finding of the baseline has no fingerprint")
		}
		b.fingerprints[entry.Fingerprint] = true
	}
	return b, nil
}

// New returns the findings that the baseline does not have, and how many of its own no longer occur.
func (b *Baseline) New(findings []Finding) (unknown []Finding, fixed int) {
	seen := 0
	for i, print := range fingerprints(findings) {
		if b.fingerprints[print] && acceptable(findings[i]) {
			seen++
			continue
		}
		unknown = append(unknown, findings[i])
	}
	return unknown, len(b.fingerprints) - seen
}
