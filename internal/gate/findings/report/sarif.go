package report

import (
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// GitLab's limits for SARIF: 5,000 results per run, texts of 1,024 characters. The most severe results are kept.
const (
	sarifResults = 5000
	sarifText    = 1024
)

type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
		ColumnKind  string            `json:"columnKind"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		URL     string      `json:"informationUri,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string       `json:"level"`
		Message sarifMessage `json:"message"`
	}
	sarifRule struct {
		ID         string         `json:"id"`
		Name       string         `json:"name,omitempty"`
		Short      sarifMessage   `json:"shortDescription"`
		Full       *sarifMessage  `json:"fullDescription,omitempty"`
		HelpURI    string         `json:"helpUri,omitempty"`
		Help       *sarifMessage  `json:"help,omitempty"`
		Default    sarifDefault   `json:"defaultConfiguration"`
		Properties map[string]any `json:"properties,omitempty"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Level        string             `json:"level"`
		Message      sarifMessage       `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Related      []sarifLocation    `json:"relatedLocations,omitempty"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		ID       int            `json:"id,omitempty"`
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Message  *sarifMessage  `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI       string `json:"uri"`
		URIBaseID string `json:"uriBaseId,omitempty"`
	}
	sarifRegion struct {
		StartLine   int           `json:"startLine"`
		StartColumn int           `json:"startColumn,omitempty"`
		EndLine     int           `json:"endLine,omitempty"`
		Snippet     *sarifMessage `json:"snippet,omitempty"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification,omitempty"`
	}
)

var sarifLevel = map[findings.Severity]string{
	findings.Critical: "error", findings.High: "error", findings.Medium: "warning", findings.Unknown: "warning",
	findings.Low: "note", findings.Info: "none",
}

// SARIF writes a SARIF 2.1.0 log with one run. Three levels cannot hold five severities, so each rule has the number
// that GitLab and others prefer (security-severity), and a rule with findings of several severities is several rules
// to them ("G115/high"): the first keeps its name.
func SARIF(w io.Writer, r *findings.Report) error {
	run := sarifRun{
		Tool:        sarifTool{sarifDriver{Name: r.Tool.Name, Version: r.Tool.Version, URL: r.Tool.URL, Rules: []sarifRule{}}},
		Invocations: []sarifInvocation{{Successful: true}},
		Results:     []sarifResult{},
		ColumnKind:  "utf16CodeUnits",
	}
	for _, p := range r.Problems {
		run.Invocations[0].Notifications = append(run.Invocations[0].Notifications,
			sarifNotification{"warning", sarifMessage{clip(problemText(p), sarifText)}})
	}
	all := r.Findings
	if len(all) > sarifResults {
		all = append([]findings.Finding(nil), all...)
		sort.SliceStable(all, func(i, j int) bool { return all[i].Severity > all[j].Severity })
		run.Invocations[0].Notifications = append(run.Invocations[0].Notifications, sarifNotification{"warning",
			sarifMessage{fmt.Sprintf("%d findings; the %d most severe are listed", len(all), sarifResults)}})
		all = all[:sarifResults]
	}
	index := map[string]int{}
	severity := map[string]findings.Severity{}
	for _, f := range all {
		id := f.Rule
		if s, known := severity[id]; known && s != f.Severity {
			id += "/" + f.Severity.String()
		}
		severity[id] = f.Severity
		if _, known := index[id]; !known {
			index[id] = len(run.Tool.Driver.Rules)
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(r, f, id))
		}
		run.Results = append(run.Results, sarifResultOf(f, id, index[id]))
	}
	return encode(w, sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

func sarifRuleOf(r *findings.Report, f findings.Finding, id string) sarifRule {
	rule := sarifRule{ID: id, Short: sarifMessage{clip(orUnknown(f.Name), sarifText)}, Default: sarifDefault{sarifLevel[f.Severity]}}
	if f.Description != "" {
		rule.Full = &sarifMessage{clip(f.Description, sarifText)}
	}
	if f.Solution != "" {
		rule.Help = &sarifMessage{clip(f.Solution, sarifText)}
	}
	if len(f.Links) > 0 {
		rule.HelpURI = f.Links[0]
	}
	if r.Kind == findings.Quality {
		return rule
	}
	tags := []string{"security"}
	for _, i := range f.Identifiers {
		if i.Type == "cwe" {
			tags = append(tags, "external/cwe/cwe-"+i.Value)
		}
	}
	rule.Properties = map[string]any{
		"security-severity": strconv.FormatFloat(f.Severity.Score(), 'f', 1, 64),
		"precision":         f.Confidence.String(),
		"tags":              tags,
	}
	return rule
}

func sarifResultOf(f findings.Finding, id string, index int) sarifResult {
	result := sarifResult{
		RuleID: id, RuleIndex: index, Level: sarifLevel[f.Severity],
		Message:      sarifMessage{clip(orUnknown(f.Message), sarifText)},
		Fingerprints: map[string]string{"slipway/v1": f.Fingerprint},
	}
	file := f.Location.File
	if file == "" {
		// GitLab drops results without a file; an image is built from this one.
		file = "Dockerfile"
	}
	region := sarifRegion{StartLine: max(f.Location.Line, 1), StartColumn: f.Location.Column, EndLine: max(f.Location.EndLine, f.Location.Line, 1)}
	if f.Snippet != "" {
		region.Snippet = &sarifMessage{clip(f.Snippet, sarifText)}
	}
	result.Locations = []sarifLocation{{Physical: &sarifPhysical{sarifArtifact{uri(file), "%SRCROOT%"}, region}}}
	for i, frame := range f.Trace {
		l := sarifLocation{ID: i + 1, Message: &sarifMessage{clip(frame.Function, sarifText)}}
		if frame.Location.File != "" {
			l.Physical = &sarifPhysical{sarifArtifact{uri(frame.Location.File), "%SRCROOT%"}, sarifRegion{StartLine: max(frame.Location.Line, 1)}}
			result.Related = append(result.Related, l)
		}
	}
	if f.Suppressed != nil {
		result.Suppressions = []sarifSuppression{{Kind: "inSource", Status: "accepted", Justification: f.Suppressed.Justification}}
	}
	return result
}

// uri escapes a path for a URI, segment by segment.
func uri(file string) string {
	var b strings.Builder
	for _, c := range []byte(file) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~/@!$&'()*+,;=", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
