package scanner

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// grypeReport is the output of `grype -o json`.
type grypeReport struct {
	Matches []struct {
		Vulnerability grypeVulnerability   `json:"vulnerability"`
		Related       []grypeVulnerability `json:"relatedVulnerabilities"`
		Artifact      struct {
			Name      string `json:"name"`
			Version   string `json:"version"`
			Type      string `json:"type"`
			Locations []struct {
				Path string `json:"path"`
			} `json:"locations"`
		} `json:"artifact"`
	} `json:"matches"`
	Source *struct {
		Type   string          `json:"type"`
		Target json.RawMessage `json:"target"`
	} `json:"source"`
	Distro struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"distro"`
	Descriptor struct {
		Name    string          `json:"name"`
		Version string          `json:"version"`
		DB      json.RawMessage `json:"db"`
	} `json:"descriptor"`
}

type grypeVulnerability struct {
	ID          string   `json:"id"`
	DataSource  string   `json:"dataSource"`
	Severity    string   `json:"severity"`
	URLs        []string `json:"urls"`
	Description string   `json:"description"`
	Fix         struct {
		Versions []string `json:"versions"`
		State    string   `json:"state"`
	} `json:"fix"`
}

func readGrype(data []byte, _ Options) (*findings.Report, error) {
	var in grypeReport
	if err := decode(data, &in); err != nil {
		return nil, err
	}
	version := in.Descriptor.Version
	if version == "" {
		version = "unknown"
	}
	report := &findings.Report{
		Kind:     findings.ContainerScanning,
		Tool:     findings.Tool{ID: "grype", Name: "Grype", Version: version, Vendor: "Anchore", URL: "https://github.com/anchore/grype"},
		Database: grypeDatabase(in.Descriptor.DB),
	}
	report.OperatingSystem = strings.TrimSpace(in.Distro.Name + " " + in.Distro.Version)
	if report.OperatingSystem == "" {
		report.OperatingSystem = "scratch"
	}
	if in.Source != nil {
		report.Image = grypeTarget(in.Source.Target)
	}
	if report.Image == "" {
		report.Image = "unknown"
	}
	for _, m := range in.Matches {
		v := m.Vulnerability
		if v.ID == "" || m.Artifact.Name == "" {
			return nil, fmt.Errorf("the report is invalid: a match without an id or a package")
		}
		f := findings.Finding{
			Rule: v.ID, Name: v.ID + " in " + m.Artifact.Name, Description: v.Description,
			Message:    fmt.Sprintf("%s %s is vulnerable to %s", m.Artifact.Name, m.Artifact.Version, v.ID),
			Severity:   findings.SeverityOf(v.Severity),
			Confidence: findings.HighConfidence,
			Dependency: &findings.Dependency{Package: m.Artifact.Name, Version: m.Artifact.Version},
			Solution:   "There is no fixed version yet.",
			Links:      v.URLs,
		}
		if v.DataSource != "" {
			f.Links = append([]string{v.DataSource}, f.Links...)
		}
		for _, r := range m.Related {
			f.Identifiers = append(f.Identifiers, vulnerability(r.ID))
			if f.Severity == findings.Unknown {
				f.Severity = findings.SeverityOf(r.Severity)
			}
			if f.Description == "" {
				f.Description = r.Description
			}
		}
		if v.Fix.State == "wont-fix" {
			f.Solution = "The distribution will not fix it."
		}
		if len(v.Fix.Versions) > 0 {
			f.Dependency.Fixed = v.Fix.Versions[0]
			f.Solution = fmt.Sprintf("Use %s %s or newer.", m.Artifact.Name, f.Dependency.Fixed)
		}
		report.Findings = append(report.Findings, f)
	}
	return report, nil
}

// grypeTarget is what was scanned: an image has the name that the user typed, a directory or an SBOM is a text.
func grypeTarget(target json.RawMessage) string {
	var image struct {
		UserInput string `json:"userInput"`
	}
	if json.Unmarshal(target, &image) == nil && image.UserInput != "" {
		return image.UserInput
	}
	var text string
	_ = json.Unmarshal(target, &text)
	return text
}

// grypeDatabase finds the database's age, which moved one level down with the sixth version of its schema.
func grypeDatabase(db json.RawMessage) *findings.Database {
	type status struct {
		Built time.Time `json:"built"`
		From  string    `json:"from"`
	}
	var in struct {
		status
		Status status `json:"status"`
	}
	if json.Unmarshal(db, &in) != nil {
		return &findings.Database{}
	}
	if in.Status != (status{}) {
		return &findings.Database{URL: in.Status.From, Built: in.Status.Built}
	}
	return &findings.Database{URL: in.From, Built: in.Built}
}
