package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// GitLab's limits for SARIF: results per run, and bytes per text.
const (
	maxResults = 5000
	maxText    = 1024
)

// The levels of SARIF results.
const (
	LevelError   = "error"
	LevelWarning = "warning"
	LevelNote    = "note"
	LevelNone    = "none"
)

var levelOrder = []string{LevelError, LevelWarning, LevelNote, LevelNone}

// A Log is a SARIF 2.1.0 log, as far as this project writes it. The names are those of the standard.
type Log struct {
	Schema  string `json:"$schema"`
	Version string `json:"version"`
	Runs    []Run  `json:"runs"`
}

// A Run is one run of a tool.
type Run struct {
	Tool        Tool         `json:"tool"`
	Invocations []Invocation `json:"invocations"`
	Results     []Result     `json:"results"`
	ColumnKind  string       `json:"columnKind"`
}

// A Tool wraps its driver, as SARIF has it.
type Tool struct {
	Driver Driver `json:"driver"`
}

// A Driver describes the tool and its rules.
type Driver struct {
	Name           string `json:"name"`
	Version        string `json:"version,omitempty"`
	InformationURI string `json:"informationUri,omitempty"`
	Rules          []Rule `json:"rules"`
}

// An Invocation says how the run went.
type Invocation struct {
	ExecutionSuccessful bool           `json:"executionSuccessful"`
	Notifications       []Notification `json:"toolExecutionNotifications,omitempty"`
}

// A Notification is a remark about the run.
type Notification struct {
	Level   string  `json:"level"`
	Message Message `json:"message"`
}

// A Rule describes what results have in common.
type Rule struct {
	ID               string         `json:"id"`
	Name             string         `json:"name,omitempty"`
	ShortDescription Message        `json:"shortDescription"`
	FullDescription  *Message       `json:"fullDescription,omitempty"`
	HelpURI          string         `json:"helpUri,omitempty"`
	Help             *Message       `json:"help,omitempty"`
	Default          Configuration  `json:"defaultConfiguration"`
	Properties       map[string]any `json:"properties,omitempty"`
}

// A Configuration holds the level of a rule.
type Configuration struct {
	Level string `json:"level"`
}

// A Message is a text.
type Message struct {
	Text string `json:"text"`
}

// A Result is a finding; its rule is that of RuleID, and [SARIF] sets RuleIndex.
type Result struct {
	RuleID           string            `json:"ruleId"`
	RuleIndex        int               `json:"ruleIndex"`
	Level            string            `json:"level"`
	Message          Message           `json:"message"`
	Locations        []Location        `json:"locations"`
	RelatedLocations []Location        `json:"relatedLocations,omitempty"`
	Fingerprints     map[string]string `json:"partialFingerprints"`
	Suppressions     []Suppression     `json:"suppressions,omitempty"`
}

// A Location is a place, with what is said about it.
type Location struct {
	ID       int       `json:"id,omitempty"`
	Physical *Physical `json:"physicalLocation,omitempty"`
	Message  *Message  `json:"message,omitempty"`
}

// A Physical location is a region of a file.
type Physical struct {
	Artifact Artifact `json:"artifactLocation"`
	Region   Region   `json:"region"`
}

// An Artifact names a file below the repository's root.
type Artifact struct {
	URI       string `json:"uri"`
	URIBaseID string `json:"uriBaseId,omitempty"`
}

// A Region counts lines and columns from 1.
type Region struct {
	StartLine   int      `json:"startLine"`
	StartColumn int      `json:"startColumn,omitempty"`
	EndLine     int      `json:"endLine,omitempty"`
	Snippet     *Message `json:"snippet,omitempty"`
}

// A Suppression says that a result was accepted in the source.
type Suppression struct {
	Kind          string `json:"kind"`
	Status        string `json:"status"`
	Justification string `json:"justification,omitempty"`
}

// Text returns a message, nil for an empty text; texts are shortened to GitLab's limit.
func Text(text string) *Message {
	if text == "" {
		return nil
	}
	return &Message{Clip(text, maxText)}
}

// InFile returns the physical location of a region of a file, whose path is relative to the repository's root.
func InFile(file string, region Region) *Physical {
	region.StartLine = max(region.StartLine, 1)
	return &Physical{Artifact{uri(file), "%SRCROOT%"}, region}
}

// Fingerprint returns the map of a result's fingerprint.
func Fingerprint(print string) map[string]string { return map[string]string{"slipway/v1": print} }

// SARIF writes a log with one run. GitLab reads at most 5,000 results: of more, the most severe are kept, and a notification
// says so.
func SARIF(w io.Writer, driver Driver, results []Result, notifications []Notification) error {
	if len(results) > maxResults {
		notifications = append(notifications, Notification{LevelWarning, Message{
			fmt.Sprintf("%d findings; the %d most severe are listed", len(results), maxResults),
		}})
		results = slices.SortedStableFunc(slices.Values(results), func(a, b Result) int {
			return cmp.Compare(slices.Index(levelOrder, a.Level), slices.Index(levelOrder, b.Level))
		})[:maxResults]
	}
	index := make(map[string]int, len(driver.Rules))
	for i, rule := range driver.Rules {
		index[rule.ID] = i
	}
	results = append([]Result{}, results...) // JSON has [] for no results
	for i := range results {
		results[i].RuleIndex = index[results[i].RuleID]
		results[i].Message.Text = Clip(results[i].Message.Text, maxText)
	}
	driver.Rules = append([]Rule{}, driver.Rules...)
	return JSON(w, Log{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0",
		Runs: []Run{{
			Tool:        Tool{driver},
			Invocations: []Invocation{{ExecutionSuccessful: true, Notifications: notifications}},
			Results:     results,
			ColumnKind:  "utf16CodeUnits",
		}},
	})
}
