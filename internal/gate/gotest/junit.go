package gotest

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// The JUnit format as gotestsum writes it; what it does not write is not kept.
type (
	junit struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr,omitempty"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr,omitempty"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Tests      int              `xml:"tests,attr"`
		Failures   int              `xml:"failures,attr"`
		Skipped    int              `xml:"skipped,attr,omitempty"`
		Errors     int              `xml:"errors,attr,omitempty"`
		Time       string           `xml:"time,attr,omitempty"`
		Name       string           `xml:"name,attr"`
		Timestamp  string           `xml:"timestamp,attr,omitempty"`
		Properties *junitProperties `xml:"properties"`
		Cases      []junitCase      `xml:"testcase"`
		Output     string           `xml:"system-out,omitempty"`
	}
	junitProperties struct {
		List []junitProperty `xml:"property"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class      string           `xml:"classname,attr"`
		Name       string           `xml:"name,attr"`
		Time       string           `xml:"time,attr"`
		File       string           `xml:"file,attr,omitempty"`
		Properties *junitProperties `xml:"properties"`
		Skipped    *junitMessage    `xml:"skipped"`
		Failure    *junitMessage    `xml:"failure"`
		Error      *junitMessage    `xml:"error"`
		Output     string           `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr,omitempty"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// RepairJUnit copies a JUnit report in which repeated tests are there once for each attempt, so that each test is there
// once. GitLab would otherwise show failures of a job that has passed. A test that passed in the end gets the property
// "flaky" and keeps the output of its failure; one that never passed keeps its last failure.
func RepairJUnit(w io.Writer, r io.Reader) error {
	var report junit
	if err := xml.NewDecoder(r).Decode(&report); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the JUnit report is empty")
		}
		return fmt.Errorf("this is not a JUnit report: %w", err)
	}
	report.Tests, report.Failures, report.Errors = 0, 0, 0
	for i := range report.Suites {
		s := &report.Suites[i]
		s.Cases = onceEach(s.Cases)
		s.Tests, s.Failures, s.Skipped = len(s.Cases), 0, 0
		for _, c := range s.Cases {
			switch {
			case c.Failure != nil:
				s.Failures++
			case c.Skipped != nil:
				s.Skipped++
			}
		}
		report.Tests += s.Tests
		report.Failures += s.Failures
		report.Errors += s.Errors
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "\t")
	if err := e.Encode(report); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// onceEach merges the attempts of each test, in the order in which the tests came first.
func onceEach(cases []junitCase) []junitCase {
	type key struct{ class, name string }
	at := map[key]int{}
	var merged []junitCase
	for _, c := range cases {
		k := key{c.Class, c.Name}
		i, seen := at[k]
		if !seen {
			at[k] = len(merged)
			merged = append(merged, c)
			continue
		}
		failed, passed := &merged[i], &c
		switch {
		case failed.Failure != nil && passed.Failure != nil:
			merged[i] = c // the last failure
			continue
		case failed.Failure == nil && passed.Failure == nil:
			continue
		case failed.Failure == nil:
			failed, passed = passed, failed
		}
		flaky := *passed
		flaky.Properties = &junitProperties{append(properties(passed.Properties), junitProperty{"flaky", "true"})}
		flaky.Output = failed.Failure.Text
		merged[i] = flaky
	}
	return merged
}

func properties(p *junitProperties) []junitProperty {
	if p == nil {
		return nil
	}
	var list []junitProperty
	for _, q := range p.List {
		if q.Name != "flaky" {
			list = append(list, q)
		}
	}
	return list
}
